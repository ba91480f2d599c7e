// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * identity - like a setuid program: become another user and come back
 *
 * To be installed setuid root, and run by an ordinary user with the real user id U. Prints the pids of its children, each of
 * which ended with code 0, and ends with code 3, or 4 if asked to end with an effective id of 0:
 *
 *   identity [raised] FILE      FILE is written to, so that there is something to count
 *
 *   real  effective             what it does
 *   U     0                     a child "raised"
 *   U     U                     a child "own"
 *   0     0                     a child "root"
 *   U     U                     a child "back"
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(bool fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

static void bear(const char *name)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0, "fork");
	if (pid == 0)
		_exit(0);
	check(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
	printf("%s\"%s\":%d", strcmp(name, "raised") == 0 ? "" : ",", name, pid);
}

static void write_something(const char *path)
{
	static const char data[64 * 1024];
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	check(fd >= 0 && write(fd, data, sizeof(data)) == sizeof(data) && close(fd) == 0, path);
}

int main(int argc, char **argv)
{
	uid_t user = getuid();
	bool raised = argc == 3 && strcmp(argv[1], "raised") == 0;

	check(argc >= 2 && geteuid() == 0 && user != 0, "setuid root, run by an ordinary user");
	setvbuf(stdout, NULL, _IOFBF, 4096);
	printf("{\"pid\":%d,", getpid());
	bear("raised");
	check(setresuid(user, user, 0) == 0, "own");
	bear("own");
	check(setresuid(user, 0, 0) == 0 && setresuid(0, 0, 0) == 0, "root");
	bear("root");
	check(setresuid(user, user, 0) == 0, "back");
	bear("back");
	check(setresuid(user, 0, 0) == 0, "raised");
	write_something(argv[argc - 1]);
	if (!raised)
		check(setresuid(user, user, user) == 0, "own");
	puts("}");
	fflush(stdout);
	return raised ? 4 : 3;
}
