// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * isolation - a load of short processes, which are named after their user
 *
 *   isolation COUNT [SETUID-PROGRAM]   COUNT times: a child that only ends, one that runs this program again, and one that
 *                                      runs the other program
 *   isolation COUNT UID=PROGRAM…       of root: children that become these users and run a program of theirs, in turn
 *   isolation 0                        read itself, and end
 */
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/lib/made.h"

#define AT_ONCE 4

static void run(const char *program)
{
	execl(program, program, "0", NULL);
	die(program);
}

static void read_itself(const char *path)
{
	static char data[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	check(fd >= 0 && read(fd, data, sizeof(data)) > 0 && close(fd) == 0, path);
}

/* @step: counts all children */
static void work(int step, char **argv)
{
	char *given = argv[2];
	uid_t uid;

	if (given && strchr(given, '=')) {
		for (int n = step; n > 0 && given; n--)
			given = argv[2 + n % 2] ? argv[2 + n % 2] : argv[2];
		uid = (uid_t)strtoul(given, &given, 10);
		check(setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 &&
			      setresuid(uid, uid, uid) == 0,
		      "become");
		run(given + 1);
	} else if (step % 3 == 1) {
		run(argv[0]);
	} else if (step % 3 == 2 && given) {
		run(given);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int count = argc >= 2 ? atoi(argv[1]) : 0, living = 0, status;

	if (count == 0)
		read_itself(argv[0]);
	for (int step = 0; step < 3 * count; step++) {
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (pid == 0)
			work(step, argv);
		if (++living < AT_ONCE)
			continue;
		check(wait(&status) > 0 && status == 0, "wait");
		living--;
	}
	while (living-- > 0)
		check(wait(&status) > 0 && status == 0, "wait");
	return 0;
}
