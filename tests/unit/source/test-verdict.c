// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
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

/* A zombie is no living process, and nothing once its parent has waited for it. Return: whether that was said. */
static bool knows_zombies(void)
{
	pid_t pid = fork();
	bool zombie, living, gone;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	await(pid);
	zombie = verdict_is_zombie((uint32_t)pid);
	living = verdict_is_zombie((uint32_t)getpid());
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	gone = verdict_is_zombie((uint32_t)pid);
	return zombie && !living && !gone;
}

static void test_zombie(void **state)
{
	(void)state;
	assert_true(knows_zombies());
}

/* From here on pidfd_open(2) is refused. */
static void refuse_pidfd(unsigned int error)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = sizeof(steps) / sizeof(*steps), .filter = steps };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void check_refused(unsigned int error)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		refuse_pidfd(error);
		_exit(syscall(SYS_pidfd_open, getpid(), 0) < 0 && knows_zombies() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_without_pidfd(void **state)
{
	(void)state;
	check_refused(ENOSYS);
	check_refused(EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_waited_for),
		cmocka_unit_test(test_living),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_without_pidfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
