/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Threads of a test program, and deaths by a signal. */

#include <pthread.h>

/* add_thread() - start a thread, or end the program */
pthread_t add_thread(void *(*run)(void *argument), void *argument);
/* wait_for_ever() - what a thread runs that has nothing to do but to live */
void *wait_for_ever(void *unused);

/* die_plainly(), die_with_core() - raise a signal that kills; without, and with a core dump */
void die_plainly(int signal_number);
void die_with_core(int signal_number);
/* die_among_threads() - one of several threads raises it, with a core dump */
void die_among_threads(int signal_number);
