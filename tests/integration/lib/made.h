/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process that a test program starts, waits for, and reports in a line of JSON. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

struct made {
	const char *kind;
	pid_t pid, ppid;
	int execs, threads;
	uint64_t since_usec;
	char more[256]; /* further JSON, with a comma before it */
};

/* die() - end the program, with errno's text */
__attribute__((noreturn)) void die(const char *what);
void check(bool fine, const char *what);

uint64_t clock_usec(clockid_t clock);

/* say() - print the line; @usage: NULL where it is unknown */
void say(const struct made *made, int status, const struct rusage *usage);
/* reap() - wait for it, and print its line */
void reap(const struct made *made);

/* start() - a process that does @work and, unless that ends it, ends with code 0 */
struct made start(const char *kind, void (*work)(int argument), int argument);
void start_and_reap(const char *kind, void (*work)(int argument), int argument, int execs, int threads);
