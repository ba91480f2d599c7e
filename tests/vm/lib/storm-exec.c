// SPDX-License-Identifier: LGPL-2.1-or-later
/* The kinds of processes of a storm that run a program: simple, late, from a deep directory, or unsuccessfully. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/vm/lib/storm.h"

#define LONG_ARG 6000
#define NAME_LEN 200

static void execute(const char *path, char *long_argument)
{
	char *const arguments[] = { (char[]){ "storm" }, (char[]){ "--exit" }, long_argument, NULL };

	atomic_fetch_add(&shared->execs, 1);
	execv(path, arguments);
}

void exec_plainly(void)
{
	execute(self, NULL);
}

void exec_with_arguments(void)
{
	static char argument[LONG_ARG + 1];

	memset(argument, 'a', any(LONG_ARG) + 1);
	execute(self, argument);
}

void exec_after_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl(self, self, "--exit", NULL);
		_exit(127);
	}
	atomic_fetch_add(&shared->processes, 1);
	wait_for(pid);
}

void exec_script(void)
{
	char name[32], text[512];

	snprintf(name, sizeof(name), "./script-%d", getpid());
	snprintf(text, sizeof(text), "#!%s --exit\n", self);
	write_file(name, text);
	chmod(name, 0755);
	if (bear() == 0) {
		nap(500);
		unlink(name);
		_exit(0);
	}
	execute(name, NULL);
}

static void *exec_in_thread(void *unused)
{
	nap(500);
	exec_plainly();
	return unused;
}

void exec_among_threads(void)
{
	start_threads(2, live_shortly, NULL);
	start_threads(2, exec_in_thread, NULL);
	pause();
}

void exec_nothing(void)
{
	execute(any(2) ? "/nonexistent" : "/proc", NULL);
}

/* A program that has no name in any directory. */
void exec_memory(void)
{
	char buffer[65536], path[64];
	int from = open(self, O_RDONLY | O_CLOEXEC), to = memfd_create("storm", MFD_CLOEXEC);
	ssize_t len;

	while ((len = read(from, buffer, sizeof(buffer))) > 0 && write(to, buffer, (size_t)len) == len)
		;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	execute(path, NULL);
}

/* A program in a directory whose path is longer than any buffer. */
void exec_deep(void)
{
	char name[NAME_LEN + 1];

	memset(name, 'd', NAME_LEN);
	name[NAME_LEN] = '\0';
	for (unsigned int n = any(24); n > 0; n--) {
		mkdir(name, 0755);
		if (chdir(name) < 0)
			break;
	}
	if (symlink(self, "program") < 0 && link(self, "program") < 0)
		nap(10);
	if (any(2) == 0 && chroot(".") < 0)
		nap(10);
	execute("./program", NULL);
}
