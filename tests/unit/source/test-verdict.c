// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "source/connector/verdict.h"

static char leader_state(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/stat", "re");
	char state = '\0';

	return file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1 ? state : '\0';
}

static void *leave(void *code)
{
	while (leader_state() != 'Z')
		usleep(1000);
	syscall(SYS_exit, (int)(intptr_t)code);
	return NULL;
}

/* The leader ends with 5, another thread later with 7. */
static pid_t start(void)
{
	pid_t pid = fork();
	pthread_t thread;

	assert_true(pid >= 0);
	if (pid == 0) {
		pthread_create(&thread, NULL, leave, (void *)(intptr_t)7);
		syscall(SYS_exit, 5);
	}
	return pid;
}

/* Wait for its end, but leave it a zombie. */
static void await(pid_t pid)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void test_not_waited_for(void **state)
{
	pid_t pid = start();
	uint32_t status = 0;
	int waited;

	(void)state;
	await(pid);
	if (getuid() == 0)
		assert_int_equal(verdict_ask((uint32_t)pid, 0, &status), 0);
	assert_int_not_equal(verdict_ask((uint32_t)pid, 1, &status), 0);
	assert_int_equal(waitpid(pid, &waited, 0), pid);
	if (getuid() == 0)
		assert_int_equal(status, waited);
	assert_int_not_equal(verdict_ask((uint32_t)pid, 0, &status), 0);
}

static void test_living(void **state)
{
	uint32_t status;

	(void)state;
	assert_int_equal(verdict_ask((uint32_t)getpid(), 0, &status), VERDICT_E_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_waited_for),
		cmocka_unit_test(test_living),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
