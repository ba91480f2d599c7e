// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * private - a program that its user may not look into, or that has such a past: it takes steps, one after the other
 *
 *   private STEP…
 *
 *   read=FILE     read the whole file, which must not be empty
 *   drop          set all ids to the real ones
 *   become=ID     set all ids to this one (of root)
 *   child         a child takes the following steps; this process waits for it and ends
 *   hold          print {"pid": …} and wait for a line of input
 *   give=FILE     give a program the capability to read all files (of root)
 *   clone=PID     a child with this pid takes the following steps; this process waits for it and ends (of root)
 *   exec=PROGRAM  run it with the steps that follow
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/integration/lib/made.h"

#ifdef __SANITIZE_ADDRESS__
/*
 * A sanitizer cannot look for leaks in a program that the kernel protects, nor read the variable that says so: it reads its
 * environment in /proc.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

static void read_all(const char *path)
{
	static char data[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	size_t sum = 0;

	check(fd >= 0, path);
	while ((n = read(fd, data, sizeof(data))) > 0)
		sum += (size_t)n;
	check(n == 0 && sum > 0, path);
	close(fd);
}

static void become(uid_t uid, gid_t gid)
{
	if (geteuid() == 0 && getuid() == 0)
		check(setgroups(0, NULL) == 0, "setgroups");
	check(setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0, "become");
}

static void hold(void)
{
	char c = 0;

	printf("{\"pid\":%d}\n", getpid());
	fflush(stdout);
	while (c != '\n')
		check(read(STDIN_FILENO, &c, 1) == 1, "go on");
}

static void give(const char *path)
{
	struct vfs_cap_data data = { .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE };

	data.data[0].permitted = 1u << CAP_DAC_READ_SEARCH;
	check(setxattr(path, "security.capability", &data, sizeof(data), 0) == 0, path);
}

/* The child returns. */
static void fork_with(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = pid ? (uintptr_t)&pid : 0,
				   .set_tid_size = pid ? 1 : 0 };
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	int status;

	check(child >= 0, "clone3");
	if (child == 0)
		return;
	check(waitpid(child, &status, 0) == child, "waitpid");
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void take(const char *step, char **rest)
{
	const char *value = strchr(step, '=');
	size_t len = value ? (size_t)(value++ - step) : strlen(step);
	char name[16];

	snprintf(name, sizeof(name), "%.*s", (int)len, step);
	if (strcmp(name, "read") == 0 && value)
		read_all(value);
	else if (strcmp(name, "drop") == 0)
		become(getuid(), getgid());
	else if (strcmp(name, "become") == 0 && value)
		become((uid_t)atoi(value), (gid_t)atoi(value));
	else if (strcmp(name, "child") == 0)
		fork_with(0);
	else if (strcmp(name, "hold") == 0)
		hold();
	else if (strcmp(name, "give") == 0 && value)
		give(value);
	else if (strcmp(name, "clone") == 0 && value)
		fork_with(atoi(value));
	else if (strcmp(name, "exec") == 0 && value)
		check(execv(value, rest) == 0, value);
	else
		die(step);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		take(argv[i], argv + i);
	return 0;
}
