/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Threads of a test program, and deaths by a signal. */

#include <pthread.h>

pthread_t add_thread(void *(*run)(void *argument), void *argument);
void *wait_for_ever(void *unused);

void die_plainly(int signal_number);
void die_with_core(int signal_number);
/* One of several threads does not survive it. */
void die_among_threads(int signal_number);
