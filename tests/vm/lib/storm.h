/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the kinds of processes of a storm (tests/vm/storm.c). */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* Shared by all of its processes. */
struct storm {
	_Atomic bool stop;
	unsigned long limit; /* of processes */
	atomic_ulong processes, threads, execs;
	atomic_ulong kinds[64];
};

extern struct storm *shared;
extern const char *self; /* this program */
extern unsigned int seed;

unsigned int any(unsigned int below);
void nap(unsigned int usec);
/* Fork a child that is killed after a time limit. Return: as fork(2). */
pid_t bear(void);
void wait_for(pid_t pid);
void write_file(const char *path, const char *text);
void start_threads(int count, void *(*run)(void *argument), void *argument);
void burn(unsigned int usec);
void *live_shortly(void *unused);

/* storm-exec.c: kinds that run a program */
void exec_plainly(void);
void exec_with_arguments(void);
void exec_after_vfork(void);
void exec_script(void);
void exec_among_threads(void);
void exec_nothing(void);
void exec_memory(void);
void exec_deep(void);
