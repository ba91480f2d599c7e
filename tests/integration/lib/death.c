// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/integration/lib/death.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/integration/lib/made.h"

pthread_t add_thread(void *(*run)(void *argument), void *argument)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, run, argument) == 0, "pthread_create");
	return thread;
}

void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void allow_core(bool allowed)
{
	struct rlimit limit;

	getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = allowed ? limit.rlim_max : 0;
	setrlimit(RLIMIT_CORE, &limit);
	prctl(PR_SET_DUMPABLE, 1);
}

static void die_by(int signal_number)
{
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

void die_plainly(int signal_number)
{
	allow_core(false);
	die_by(signal_number);
}

void die_with_core(int signal_number)
{
	allow_core(true);
	die_by(signal_number);
}

static void *die_in_thread(void *signal_number)
{
	die_by((int)(intptr_t)signal_number);
	return NULL;
}

void die_among_threads(int signal_number)
{
	allow_core(true);
	for (int i = 0; i < 6; i++)
		add_thread(wait_for_ever, NULL);
	add_thread(die_in_thread, (void *)(intptr_t)signal_number);
	wait_for_ever(NULL);
}
