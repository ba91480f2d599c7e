// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * successor N - give the pid of a process that has just ended to another one that is not related to it, N times
 *
 * Prints the pid of a child, which waits for a byte of input. Then this child forks N processes, one after the
 * other, which end with code 1; when one has ended, the program itself makes a process with the same pid, which ends with code
 * 42, and prints that pid.
 */
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(bool fine, const char *what)
{
	if (fine)
		return;
	perror(what);
	exit(1);
}

static void elder(unsigned long n, int ended, int next)
{
	char byte;

	check(read(STDIN_FILENO, &byte, 1) == 1, "input");
	while (n-- > 0) {
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (pid == 0)
			_exit(1);
		check(waitpid(pid, NULL, 0) == pid, "waitpid");
		check(write(ended, &pid, sizeof(pid)) == sizeof(pid), "write");
		check(read(next, &byte, 1) == 1, "read");
	}
	_exit(0);
}

static void make_successor(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1 };
	long made = syscall(SYS_clone3, &args, sizeof(args));

	check(made >= 0, "clone3");
	if (made == 0)
		_exit(42);
	check(waitpid(pid, NULL, 0) == pid, "waitpid");
	printf("%d\n", pid);
}

int main(int argc, char *argv[])
{
	unsigned long n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	int ended[2], next[2];
	pid_t child, pid;

	check(n > 0, "usage: successor N");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(pipe(ended) == 0 && pipe(next) == 0, "pipe");
	child = fork();
	check(child >= 0, "fork");
	if (child == 0) {
		close(ended[0]);
		elder(n, ended[1], next[0]);
	}
	close(ended[1]);
	printf("%d\n", child);
	while (read(ended[0], &pid, sizeof(pid)) == sizeof(pid)) {
		make_successor(pid);
		check(write(next[1], "", 1) == 1, "write");
	}
	check(waitpid(child, NULL, 0) == child, "waitpid");
	return 0;
}
