// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * storm WORKERS PROCESSES - start PROCESSES processes that cause all events of the kernel module, at the same time
 *
 * At its end, or at SIGTERM, it prints the number of processes of each kind in a comment. It does not check how they end,
 * since it tests the kernel. It works in the current directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/vm/lib/storm.h"

#define WORKERS_MAX 32
#define ALIVE	    3 /* children of a worker that live at once */
#define BURST	    60

/* Kinds: each function is run by a child. */

static void just_exit(void)
{
}

static void have_children(void)
{
	for (unsigned int n = any(4) + 1; n > 0; n--)
		if (bear() == 0)
			_exit((int)any(256));
	/* Some children become orphans. */
	if (any(2) == 0)
		while (wait(NULL) > 0)
			;
}

static void burst(void)
{
	for (int n = 0; n < BURST; n++) {
		if (bear() == 0)
			_exit(n);
		if (n % 8 == 7)
			while (wait(NULL) > 0)
				;
	}
}

static void use_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	atomic_fetch_add(&shared->processes, 1);
	wait_for(pid);
}

static void be_killed(void)
{
	pid_t pid = bear();

	if (pid == 0) {
		setpgid(0, 0);
		for (;;)
			if (bear() == 0)
				_exit(0);
	}
	setpgid(pid, pid);
	nap(5000);
	kill(-pid, SIGKILL);
	wait_for(pid);
}

static void *end_all(void *unused)
{
	nap(2000);
	_exit(3);
	return unused;
}

static void *set_names(void *unused)
{
	char path[64], name[16];

	for (unsigned int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "thread-%u", any(1000));
		prctl(PR_SET_NAME, name);
		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", getpid());
		write_file(path, name);
	}
	return unused;
}

static void have_threads(void)
{
	start_threads((int)any(5) + 1, live_shortly, NULL);
	switch (any(4)) {
	case 0:
		pthread_exit(NULL);
	case 1:
		start_threads(1, end_all, NULL);
		pause();
		break;
	case 2:
		kill(getpid(), SIGKILL);
		break;
	default:
		nap(3000);
	}
}

static void have_named_threads(void)
{
	start_threads(3, set_names, NULL);
	set_names(NULL);
	prctl(PR_SET_NAME, "");
}

/* Identities */

static void change_ids(void)
{
	gid_t groups[] = { any(100) };
	uid_t uid = any(1000) + 1;

	if (setgroups(1, groups) < 0 || setresgid(uid, any(2) ? uid : 0, 0) < 0 ||
	    setresuid(uid, any(2) ? uid : 0, 0) < 0)
		return;
	if (bear() == 0 && (seteuid(0) < 0 || setuid(any(100)) < 0))
		nap(10);
}

static void *change_own_ids(void *unused)
{
	syscall(SYS_setresuid, -1, any(3), -1);
	return unused;
}

static void change_ids_of_threads(void)
{
	start_threads(3, change_own_ids, NULL);
	if (setuid(any(3)) < 0)
		nap(10);
}

static void new_user_namespace(void)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return;
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", "0 0 1");
	if (bear() == 0 && setuid(0) < 0)
		nap(10);
}

static void set_login(void)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", any(5));
	write_file("/proc/self/loginuid", text);
	if (bear() == 0)
		_exit(0);
}

static void new_session(void)
{
	setsid();
	if (bear() == 0)
		setsid();
}

static void end_init_of_namespace(void)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0)
		return;
	pid = bear();
	if (pid == 0) {
		for (unsigned int n = any(4); n > 0; n--)
			if (bear() == 0) {
				setsid();
				nap(5000);
				_exit(0);
			}
		nap(3000);
		_exit(0);
	}
	wait_for(pid);
}

static void move_to_cgroup(void)
{
	char path[80], file[128], text[16];
	pid_t pid;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/storm-%d", getpid());
	if (mkdir(path, 0755) < 0)
		return;
	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	pid = bear();
	if (pid == 0) {
		for (int i = 0; i < 3; i++)
			if (bear() == 0)
				_exit(0);
		nap(2000);
		_exit(0);
	}
	snprintf(text, sizeof(text), "%d", pid);
	write_file(file, text);
	wait_for(pid);
	for (int i = 0; i < 20 && rmdir(path) < 0; i++)
		nap(5000);
}

static void change_root(void)
{
	char name[32];

	snprintf(name, sizeof(name), "root-%d", getpid());
	mkdir(name, 0755);
	if (bear() == 0) {
		if (unshare(CLONE_FS) == 0 && chroot(name) == 0)
			nap(1000);
		_exit(0);
	}
	if (any(2) == 0 && unshare(CLONE_NEWNS) < 0)
		nap(10);
	if (chroot(name) == 0 && chroot(".") == 0)
		nap(1000);
}

/* Renames make readers of a path start again. */
static void move_directories(void)
{
	char one[32], other[32];

	snprintf(one, sizeof(one), "one-%d", getpid());
	snprintf(other, sizeof(other), "other-%d", getpid());
	mkdir(one, 0755);
	for (int i = 0; i < 100; i++)
		if (rename(one, other) < 0 || rename(other, one) < 0)
			break;
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		for (int i = 0; i < 5 && mount(one, one, NULL, MS_BIND, NULL) == 0; i++)
			umount(one);
	rmdir(one);
}

/* Terminals: a terminal is closed while its processes start, end and are reported. */
static void have_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	pid_t pid;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return;
	pid = bear();
	if (pid == 0) {
		int terminal;

		setsid();
		terminal = open(ptsname(master), O_RDWR);
		ioctl(terminal, TIOCSCTTY, 0);
		signal(SIGHUP, any(2) ? SIG_IGN : SIG_DFL);
		for (int i = 0; i < 4; i++)
			if (bear() == 0) {
				nap(2000);
				_exit(0);
			}
		if (any(3) == 0)
			ioctl(terminal, TIOCNOTTY, 0);
		nap(2000);
		_exit(0);
	}
	nap(5000);
	close(master);
	wait_for(pid);
}

/* Ends and tracers */

static void crash(void)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	static const int signals[] = { SIGSEGV, SIGABRT, SIGILL, SIGQUIT };

	setrlimit(RLIMIT_CORE, &limit);
	prctl(PR_SET_DUMPABLE, 1);
	if (any(2))
		start_threads(3, live_shortly, NULL);
	signal(signals[any(4)], SIG_DFL);
	raise(signals[any(4)]);
}

static void trace(void)
{
	pid_t pid = bear();
	int status;

	if (pid == 0) {
		start_threads(1, live_shortly, NULL);
		nap(20000);
		_exit(0);
	}
	nap(1000);
	if (any(2)) {
		ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT);
		ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	} else {
		ptrace(PTRACE_ATTACH, pid, NULL, NULL);
	}
	if (waitpid(pid, &status, __WALL) != pid)
		return;
	if (any(3) == 0)
		_exit(0); /* this detaches */
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	kill(pid, SIGKILL);
	wait_for(pid);
}

static void be_traced(void)
{
	pid_t pid = bear();
	int status;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		exec_plainly();
		_exit(127);
	}
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, pid, NULL, NULL);
}

static const struct kind {
	const char *name;
	void (*live)(void);
	unsigned int weight;
} kinds[] = {
	{ "exit", just_exit, 60 },
	{ "burst", burst, 8 },
	{ "children", have_children, 16 },
	{ "vfork", use_vfork, 24 },
	{ "killed", be_killed, 2 },
	{ "threads", have_threads, 10 },
	{ "names", have_named_threads, 4 },
	{ "exec", exec_plainly, 4 },
	{ "exec-arguments", exec_with_arguments, 2 },
	{ "exec-vfork", exec_after_vfork, 2 },
	{ "exec-script", exec_script, 2 },
	{ "exec-thread", exec_among_threads, 3 },
	{ "exec-nothing", exec_nothing, 1 },
	{ "exec-memory", exec_memory, 1 },
	{ "exec-deep", exec_deep, 1 },
	{ "ids", change_ids, 4 },
	{ "ids-threads", change_ids_of_threads, 2 },
	{ "user-namespace", new_user_namespace, 1 },
	{ "login", set_login, 2 },
	{ "session", new_session, 3 },
	{ "pid-namespace", end_init_of_namespace, 1 },
	{ "cgroup", move_to_cgroup, 1 },
	{ "root", change_root, 3 },
	{ "directories", move_directories, 1 },
	{ "terminal", have_terminal, 3 },
	{ "crash", crash, 2 },
	{ "trace", trace, 3 },
	{ "traced", be_traced, 1 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static size_t any_kind(void)
{
	unsigned int sum = 0, at;
	size_t i = 0;

	for (size_t k = 0; k < KINDS; k++)
		sum += kinds[k].weight;
	for (at = any(sum); at >= kinds[i].weight; i++)
		at -= kinds[i].weight;
	return i;
}

static void work(unsigned int number)
{
	int alive = 0;
	size_t kind;
	pid_t pid;

	seed = number * 7919 + 1;
	while (!atomic_load(&shared->stop) && atomic_load(&shared->processes) < shared->limit) {
		kind = any_kind();
		pid = bear();
		if (pid == 0) {
			kinds[kind].live();
			_exit(0);
		}
		if (pid < 0) {
			nap(10000);
		} else {
			atomic_fetch_add(&shared->kinds[kind], 1);
			alive++;
		}
		for (; alive >= ALIVE && wait(NULL) > 0; alive--)
			;
	}
	while (wait(NULL) > 0)
		;
	_exit(0);
}

static void on_term(int unused)
{
	(void)unused;
	atomic_store(&shared->stop, true);
}

int main(int argc, char **argv)
{
	static char path[4096];
	unsigned int workers;
	ssize_t len;

	if (argc > 1 && strcmp(argv[1], "--exit") == 0)
		return 0;
	len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (argc != 3 || len < 0) {
		fprintf(stderr, "usage: storm WORKERS PROCESSES\n");
		return 2;
	}
	path[len] = '\0';
	self = path;
	workers = (unsigned int)strtoul(argv[1], NULL, 10) % WORKERS_MAX;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	shared->limit = strtoul(argv[2], NULL, 10);
	signal(SIGTERM, on_term);
	/* Orphans become our children. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (unsigned int i = 0; i < workers; i++)
		if (fork() == 0) {
			signal(SIGTERM, SIG_DFL);
			work(i);
		}
	while (wait(NULL) > 0 || errno == EINTR)
		;

	printf("#");
	for (size_t k = 0; k < KINDS; k++)
		printf(" %s %lu", kinds[k].name, atomic_load(&shared->kinds[k]));
	printf("\nprocesses %lu\nthreads %lu\nexecs %lu\n", atomic_load(&shared->processes),
	       atomic_load(&shared->threads), atomic_load(&shared->execs));
	return 0;
}
