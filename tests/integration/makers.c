// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * makers WHAT - make processes whose fields cannot be taken from their parent
 *
 * Prints a JSON object for each: its pid, and what is true of it.
 *
 *   clone-parent UID     a child that becomes a user makes its own sibling
 *   cgroup DIRECTORY     a child that is made in another cgroup
 *   thread               a thread with a name of its own makes a child
 *   orphans N            N children whose parent ends
 *   hangup               a process whose terminal is closed; keep: one whose terminal stays
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Long enough for a broker that is not too late to read what /proc says. */
#define LIFE_USEC 100000

static void check(int fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

static void wait_for_all(void)
{
	while (wait(NULL) > 0)
		;
}

static void clone_parent(uid_t uid)
{
	long pid = fork();

	check(pid >= 0, "fork");
	if (pid > 0) {
		wait_for_all();
		return;
	}
	prctl(PR_SET_NAME, "stage");
	check(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0, "setresuid");
	pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		usleep(LIFE_USEC);
		_exit(0);
	}
	check(pid > 0, "clone");
	printf("{\"pid\":%ld,\"comm\":\"stage\",\"uid\":%u,\"ppid\":%d}\n", pid, uid, getppid());
	fflush(stdout);
	_exit(0);
}

static void into_cgroup(const char *directory)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long pid;

	check(fd >= 0, directory);
	args.cgroup = (uint64_t)fd;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	check(pid >= 0, "clone3");
	if (pid == 0) {
		usleep(LIFE_USEC);
		_exit(0);
	}
	printf("{\"pid\":%ld}\n", pid);
	wait_for_all();
}

static void *run_thread(void *unused)
{
	pid_t pid;

	prctl(PR_SET_NAME, "thread");
	pid = fork();
	check(pid >= 0, "fork");
	if (pid == 0) {
		usleep(LIFE_USEC);
		_exit(0);
	}
	printf("{\"pid\":%d,\"comm\":\"thread\"}\n", pid);
	waitpid(pid, NULL, 0);
	return unused;
}

static void make_thread(void)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, run_thread, NULL) == 0, "thread");
	pthread_join(thread, NULL);
}

static void make_orphans(int n)
{
	pid_t parent, pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	parent = fork();
	check(parent >= 0, "fork");
	if (parent == 0) {
		for (int i = 0; i < n; i++) {
			pid = fork();
			check(pid >= 0, "fork");
			if (pid == 0) {
				pause();
				_exit(0);
			}
			printf("{\"pid\":%d,\"ppid\":%d}\n", pid, getppid());
		}
		fflush(stdout);
		_exit(0);
	}
	waitpid(parent, NULL, 0);
	/* The test has looked at them. */
	getchar();
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	wait_for_all();
}

static void wait_for_line(void)
{
	int c;

	do
		c = getchar();
	while (c != EOF && c != '\n');
}

/* It runs this program again, so that the terminal is read at its exec. */
static void make_terminal(char *self, int keep)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), hold[2];
	pid_t pid;

	check(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "pseudoterminal");
	check(pipe2(hold, O_CLOEXEC) == 0, "pipe");
	pid = fork();
	check(pid >= 0, "fork");
	if (pid == 0) {
		setsid();
		signal(SIGHUP, SIG_IGN);
		check(open(ptsname(master), O_RDWR | O_CLOEXEC) >= 0, "terminal");
		check(dup2(hold[0], STDIN_FILENO) == STDIN_FILENO, "dup2");
		execl(self, self, "held", NULL);
		_exit(127);
	}
	printf("{\"pid\":%d,\"tty\":\"%s\"}\n", pid, ptsname(master) + strlen("/dev/"));
	fflush(stdout);
	/* The exec is reported. */
	wait_for_line();
	if (!keep)
		close(master);
	close(hold[1]);
	wait_for_all();
	/* So is the exit: the broker looks at the terminal after the end. */
	wait_for_line();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *how = argc > 2 ? argv[2] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "clone-parent") == 0) {
		clone_parent((uid_t)atoi(how));
	} else if (strcmp(what, "cgroup") == 0) {
		into_cgroup(how);
	} else if (strcmp(what, "thread") == 0) {
		make_thread();
	} else if (strcmp(what, "orphans") == 0) {
		setpgid(0, 0);
		make_orphans(atoi(how));
	} else if (strcmp(what, "hangup") == 0 || strcmp(what, "keep") == 0) {
		make_terminal(argv[0], what[0] == 'k');
	} else if (strcmp(what, "held") == 0) {
		wait_for_line();
	} else {
		fputs("usage: makers WHAT\n", stderr);
		return 2;
	}
	return 0;
}
