// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "source/proc/procfs.h"

/* The fields between the name and the start, in the order of proc(5). */
#define STAT_REST \
	" S 10 21 22 34816 21 4194304 1 2 3 4 5 6 7 8 20 0 3 0 123456 1000 2000 18446744073709551615\n"

static int parse(struct procfs_stat *stat, const char *text)
{
	return procfs_parse_stat(stat, text, strlen(text));
}

static void assert_text(struct event_text text, const char *wanted)
{
	assert_int_equal(text.len, strlen(wanted));
	assert_memory_equal(text.data, wanted, text.len);
}

static void test_stat(void **state)
{
	struct procfs_stat stat;

	(void)state;
	assert_int_equal(parse(&stat, "21 (name)" STAT_REST), 0);
	assert_text(stat.comm, "name");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.ppid, 10);
	assert_int_equal(stat.pgid, 21);
	assert_int_equal(stat.session, 22);
	assert_int_equal(stat.tty, 34816);
	assert_int_equal(stat.threads, 3);
	assert_int_equal(stat.start_usec, UINT64_C(123456) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
	/* Kernel threads have no foreground group, which is -1. */
	assert_int_equal(parse(&stat, "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0"), 0);
	assert_int_equal(stat.ppid, 0);
	assert_int_equal(stat.tty, 0);
}

/* A name may have any byte except NUL, and may look like the rest of the line. */
static void test_hostile_names(void **state)
{
	static const char *const names[] = {
		"",   ")",	 "(",	     ") R 1 1 1 1", "a) S 1 2 3 4 5", "x\ny",
		"\n", ") Z 0 (", "\xff\xfe", "(((((",	    ")))))",
	};
	char text[512];
	struct procfs_stat stat;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "21 (%s)%s", names[i], STAT_REST);
		assert_int_equal(parse(&stat, text), 0);
		assert_text(stat.comm, names[i]);
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.ppid, 10);
	}
}

static void test_stat_cut(void **state)
{
	static const char whole[] = "21 (name) S 10 21 22 34816 21 4194304 1 2 3 4 5 6 7 8 20 0 3 0 1";
	struct procfs_stat stat;

	(void)state;
	for (size_t len = 0; len < sizeof(whole) - 1; len++)
		assert_int_equal(procfs_parse_stat(&stat, whole, len), PROCFS_E_TEXT);
	assert_int_equal(procfs_parse_stat(&stat, whole, sizeof(whole) - 1), 0);
	assert_int_equal(parse(&stat, "21 (name) S x 21 22"), PROCFS_E_TEXT);
	assert_int_equal(parse(&stat, "21 (name"), PROCFS_E_TEXT);
	assert_int_equal(parse(&stat, "21 name)"), PROCFS_E_TEXT);
}

static void test_ids(void **state)
{
	static const char text[] =
		"Name:\tUid:\\t9\nUmask:\t0022\nUid:\t1000\t0\t5\t6\nGid:\t100\t4294967294\t7\t8\nx";
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_PROCESS);
	assert_int_equal(procfs_parse_ids(&event, text, strlen(text)), 0);
	assert_int_equal(event.uid, 1000);
	assert_int_equal(event.euid, 0);
	assert_int_equal(event.gid, 100);
	assert_int_equal(event.egid, UINT32_MAX - 1);
	fb_event_init(&event, EVENT_PROCESS);
	assert_int_equal(procfs_parse_ids(&event, "Uid:\t1\t2\n", 9), PROCFS_E_TEXT);
	assert_int_equal(procfs_parse_ids(&event, "", 0), PROCFS_E_TEXT);
	assert_true(event.has == 0);
}

static void assert_cgroup(const char *text, const char *path)
{
	assert_text(procfs_parse_cgroup(text, strlen(text)), path);
}

static void test_cgroup(void **state)
{
	(void)state;
	assert_cgroup("0::/system.slice/a.service\n", "/system.slice/a.service");
	assert_cgroup("0::/a:b:c (deleted)\n", "/a:b:c (deleted)");
	assert_cgroup("5:cpu,cpuacct:/x\n1:name=systemd:/system.slice/b.service\n",
		      "/system.slice/b.service");
	assert_cgroup("1:name=systemd:/b.service\n0::/\n", "/b.service");
	assert_cgroup("1:name=systemd:/b.service\n0::/c.service\n", "/c.service");
	assert_cgroup("9:name=systemd:/\n0::/\n", "/");
	assert_cgroup("0::/no-newline", "/no-newline");
	assert_cgroup("5:cpu:/x\n", "");
	assert_cgroup("0:\n::\n:", "");
	assert_cgroup("", "");
}

static void assert_unit(const char *path, const char *unit)
{
	assert_text(unit_from_cgroup((struct event_text){ path, strlen(path) }), unit);
}

static void test_unit(void **state)
{
	(void)state;
	assert_unit("/system.slice/ssh.service", "ssh.service");
	assert_unit("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service");
	assert_unit("/init.scope", "init.scope");
	assert_unit("/user.slice/user-1000.slice/session-2.scope", "session-2.scope");
	assert_unit("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "user@1000.service");
	assert_unit("/system.slice/docker.service/inner/deep", "docker.service");
	assert_unit("/system.slice/dev-disk-by\\x2dlabel-x.swap", "dev-disk-by\\x2dlabel-x.swap");
	assert_unit("/system.slice/_cpu.service", "cpu.service");
	assert_unit("/_cpu.slice/a.service", "a.service");
	assert_unit("/system.slice/a.service (deleted)", "");
	assert_unit("/user.slice/user-1000.slice", "");
	assert_unit("/docker/0123456789ab", "");
	assert_unit("/lxc.payload/system.slice/a.service", "");
	assert_unit("/system.slice/a@.service", "");
	assert_unit("/.service", "");
	assert_unit("/", "");
	assert_unit("", "");
}

static void assert_tty(unsigned int major, unsigned int minor, const char *name)
{
	/* As the kernel packs a device number in two pieces. */
	uint32_t device = (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12;
	char buf[PROCFS_TTY_MAX];

	assert_int_equal(procfs_print_tty(buf, device), strlen(name));
	assert_string_equal(buf, name);
}

static void test_tty(void **state)
{
	(void)state;
	assert_tty(136, 0, "pts/0");
	assert_tty(136, 255, "pts/255");
	assert_tty(136, 300, "pts/300");
	assert_tty(137, 3, "pts/259");
	assert_tty(143, 255, "pts/2047");
	assert_tty(4, 1, "tty1");
	assert_tty(4, 63, "tty63");
	assert_tty(4, 64, "ttyS0");
	assert_tty(4, 67, "ttyS3");
	assert_tty(5, 1, "console");
	assert_tty(204, 64, "204:64");
	assert_tty(4095, 1048575, "4095:1048575");
}

/* A /proc of the test. */
struct fake {
	char path[32];
	int fd;
};

static void fake_write(const struct fake *fake, const char *name, const char *text)
{
	int fd = openat(fake->fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void fake_process(const struct fake *fake, const char *pid, const char *stat)
{
	char name[64];

	assert_int_equal(mkdirat(fake->fd, pid, 0755), 0);
	snprintf(name, sizeof(name), "%s/stat", pid);
	fake_write(fake, name, stat);
	snprintf(name, sizeof(name), "%s/task", pid);
	assert_int_equal(mkdirat(fake->fd, name, 0755), 0);
}

static int fake_setup(void **state)
{
	static struct fake fake;

	snprintf(fake.path, sizeof(fake.path), "/tmp/test-procfs-XXXXXX");
	if (!mkdtemp(fake.path))
		return -1;
	fake.fd = open(fake.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &fake;
	return fake.fd < 0 ? -1 : 0;
}

static int fake_teardown(void **state)
{
	struct fake *fake = *state;
	char command[64];

	close(fake->fd);
	snprintf(command, sizeof(command), "rm -rf %s", fake->path);
	return system(command);
}

static void test_read(void **state)
{
	struct fake *fake = *state;
	struct procfs_text text;
	struct procfs_stat stat;
	struct fb_event event;
	uint64_t start = UINT64_C(123456) * 10000;

	fake_process(fake, "21", "21 (na\nme)" STAT_REST);
	fake_write(fake, "21/status", "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n");
	fake_write(fake, "21/cgroup", "0::/system.slice/a.service\n");
	fake_write(fake, "21/loginuid", "1000");
	assert_int_equal(symlinkat("/usr/bin/x (deleted)", fake->fd, "21/exe"), 0);

	assert_int_equal(procfs_read(fake->fd, 21, start + 9999, FIELDS_ALL, &event, &text, &stat), 0);
	assert_int_equal(event.type, EVENT_PROCESS);
	assert_int_equal(event.pid, 21);
	assert_int_equal(event.start_usec, start);
	assert_int_equal(event.ppid, 10);
	assert_int_equal(event.pgid, 21);
	assert_int_equal(event.session, 22);
	assert_int_equal(event.euid, 2);
	assert_int_equal(event.egid, 6);
	assert_int_equal(event.login_uid, 1000);
	assert_text(event.comm, "na\nme");
	assert_text(event.tty, "pts/0");
	assert_text(event.exe, "/usr/bin/x (deleted)");
	assert_text(event.cgroup, "/system.slice/a.service");
	assert_text(event.unit, "a.service");
	assert_int_equal(stat.threads, 3);

	/* Only the requested fields, and those that are always read. */
	assert_int_equal(procfs_read(fake->fd, 21, 0, EVENT_BIT(exe), &event, &text, NULL), 0);
	assert_true(EVENT_HAS(&event, exe));
	assert_false(EVENT_HAS(&event, uid) || EVENT_HAS(&event, cgroup) || EVENT_HAS(&event, login_uid));

	/* Another process with the same pid, or none. */
	assert_int_equal(procfs_read(fake->fd, 21, start + 30000, 0, &event, &text, NULL), PROCFS_E_GONE);
	assert_int_equal(procfs_read(fake->fd, 21, start - 20000, 0, &event, &text, NULL), PROCFS_E_GONE);
	assert_int_equal(procfs_read(fake->fd, 22, 0, 0, &event, &text, NULL), PROCFS_E_GONE);

	/* No login, and a missing file. */
	fake_write(fake, "21/loginuid", "4294967295");
	assert_int_equal(unlinkat(fake->fd, "21/cgroup", 0), 0);
	assert_int_equal(procfs_read(fake->fd, 21, 0, FIELDS_ALL, &event, &text, NULL), 0);
	assert_false(EVENT_HAS(&event, login_uid) || EVENT_HAS(&event, cgroup) || EVENT_HAS(&event, unit));
}

struct scanned {
	uint32_t pids[8], tids[8];
	size_t n_pids, n_tids;
};

static int on_process(const struct fb_event *event, const uint32_t *tids, size_t n_tids, void *userdata)
{
	struct scanned *scanned = userdata;

	scanned->pids[scanned->n_pids++] = event->pid;
	for (size_t i = 0; i < n_tids; i++)
		scanned->tids[scanned->n_tids++] = tids[i];
	return scanned->n_pids == 3 ? 7 : 0;
}

static void test_scan(void **state)
{
	struct fake *fake = *state;
	struct scanned scanned = {};
	int skipped;

	/*
	 * A living process, a dead one, a leader that ended before its threads, a name that is not a process, a process that
	 * ends meanwhile.
	 */
	fake_process(fake, "21", "21 (a)" STAT_REST);
	assert_int_equal(mkdirat(fake->fd, "21/task/21", 0755), 0);
	fake_process(fake, "31", "31 (b) Z 10 21 22 0 21 4194304 1 2 3 4 5 6 7 8 20 0 1 0 5 0 0\n");
	assert_int_equal(mkdirat(fake->fd, "31/task/31", 0755), 0);
	fake_process(fake, "41", "41 (c) Z 10 21 22 0 21 4194304 1 2 3 4 5 6 7 8 20 0 2 0 5 0 0\n");
	assert_int_equal(mkdirat(fake->fd, "41/task/41", 0755), 0);
	assert_int_equal(mkdirat(fake->fd, "41/task/42", 0755), 0);
	assert_int_equal(mkdirat(fake->fd, "sys", 0755), 0);
	assert_int_equal(mkdirat(fake->fd, "51", 0755), 0);

	assert_int_equal(procfs_scan(fake->fd, on_process, &scanned, &skipped), 0);
	assert_int_equal(skipped, 0);
	assert_int_equal(scanned.n_pids, 2);
	assert_int_equal(scanned.n_tids, 2);
	assert_int_equal(scanned.pids[0] + scanned.pids[1], 21 + 41);
	assert_int_equal(scanned.tids[0] + scanned.tids[1], 21 + 42);

	/* The callback ends it. */
	assert_int_equal(procfs_scan(fake->fd, on_process, &scanned, &skipped), 7);
}

/* Without file descriptors the scan cannot find all processes. */
static void test_scan_incomplete(void **state)
{
	struct fake *fake = *state;
	struct scanned scanned = {};
	struct procfs_text text;
	struct rlimit before, few;
	struct fb_event event;
	int skipped, next, r;

	fake_process(fake, "21", "21 (a)" STAT_REST);
	assert_int_equal(mkdirat(fake->fd, "21/task/21", 0755), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	next = dup(fake->fd);
	close(next);

	/* One descriptor for the directory of the process, none for its files. */
	few = (struct rlimit){ (rlim_t)next + 1, before.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	r = procfs_read(fake->fd, 21, 0, 0, &event, &text, NULL);
	assert_int_equal(procfs_scan(fake->fd, on_process, &scanned, &skipped), 0);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(r, -EMFILE);
	assert_int_equal(scanned.n_pids, 0);
	assert_int_equal(skipped, -EMFILE);

	/* None for the directory, none for the list of processes. */
	few.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &few);
	r = procfs_read(fake->fd, 21, 0, 0, &event, &text, NULL);
	assert_int_equal(procfs_scan(fake->fd, on_process, &scanned, &skipped), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(r, -EMFILE);

	/* A file with another format does not mean that the process has ended. */
	fake_write(fake, "21/stat", "?");
	assert_int_equal(procfs_scan(fake->fd, on_process, &scanned, &skipped), 0);
	assert_int_equal(skipped, -EBADMSG);
	assert_int_equal(scanned.n_pids, 0);
}

static void test_real(void **state)
{
	int proc = procfs_open();
	struct procfs_text text;
	struct procfs_stat stat;
	struct fb_event event;
	pid_t child;

	(void)state;
	assert_true(proc >= 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_NAME, ") R 1 (\n\xff");
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
	assert_int_equal(procfs_read(proc, (uint32_t)child, 0, FIELDS_ALL, &event, &text, &stat), 0);
	assert_text(event.comm, ") R 1 (\n\xff");
	assert_int_equal(event.ppid, getpid());
	assert_int_equal(event.uid, getuid());
	assert_int_equal(event.egid, getegid());
	assert_int_equal(event.pgid, getpgrp());
	assert_int_equal(event.session, getsid(0));
	assert_true(EVENT_HAS(&event, exe));
	assert_int_equal(stat.threads, 1);
	assert_false(procfs_stat_is_dead(&stat));

	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, &(siginfo_t){}, WEXITED | WNOWAIT), 0);
	assert_int_equal(procfs_read(proc, (uint32_t)child, 0, FIELDS_ALL, &event, &text, &stat), 0);
	assert_true(procfs_stat_is_dead(&stat));
	assert_false(EVENT_HAS(&event, exe));
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(procfs_read(proc, (uint32_t)child, 0, FIELDS_ALL, &event, &text, &stat),
			 PROCFS_E_GONE);
	close(proc);
}

/* Where privacy is absent. */
#define NOT_KNOWN 100

/* A child of another user, with this value of PR_SET_DUMPABLE; after its end as well. */
static uint32_t protection_of_child(int proc, unsigned long dumpable, bool ended)
{
	struct procfs_text text;
	struct fb_event event;
	pid_t child = fork();

	if (child == 0) {
		if (setresgid(61232, 61232, 61232) < 0 || setresuid(61231, 61231, 61231) < 0 ||
		    prctl(PR_SET_DUMPABLE, dumpable) < 0)
			_exit(1);
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
	if (ended) {
		kill(child, SIGKILL);
		assert_int_equal(waitid(P_PID, (id_t)child, &(siginfo_t){}, WEXITED | WNOWAIT), 0);
	}
	assert_int_equal(procfs_read(proc, (uint32_t)child, 0, FIELDS_ALL, &event, &text, NULL), 0);
	assert_int_equal(event.uid, 61231);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	return EVENT_HAS(&event, privacy) ? event.privacy : NOT_KNOWN;
}

/* The kernel's own mark of a program that its user may not look into */
static void test_protected(void **state)
{
	int proc = procfs_open();

	(void)state;
	if (geteuid() != 0)
		return;
	assert_true(proc >= 0);
	assert_int_equal(protection_of_child(proc, 1, false), PRIVACY_NONE);
	assert_int_equal(protection_of_child(proc, 0, false), PRIVACY_ALL);
	assert_int_equal(protection_of_child(proc, 1, true), NOT_KNOWN);
	assert_int_equal(protection_of_child(proc, 0, true), NOT_KNOWN);
	close(proc);
}

/* Has the program run? The test has; a kernel thread has none; a program that is being loaded has no page of a file. */
static void test_settled(void **state)
{
	static const char thread[] = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 "
				     "18446744073709551615 0 0 0 0\n";
	struct procfs_text *text = malloc(sizeof(*text));
	int proc = procfs_open();
	struct procfs_stat stat;
	struct fb_event event;
	uint64_t pages;

	(void)state;
	assert_non_null(text);
	assert_int_equal(procfs_parse_shared(&pages, "652 235 201 4 0 96 0\n", 21), 0);
	assert_int_equal(pages, 201);
	assert_int_equal(procfs_parse_shared(&pages, "0 0 0 0 0 0 0\n", 14), 0);
	assert_int_equal(pages, 0);
	assert_int_equal(procfs_parse_shared(&pages, "652 235", 7), PROCFS_E_TEXT);
	assert_int_equal(procfs_parse_stat(&stat, thread, sizeof(thread) - 1), 0);
	assert_true(stat.kernel_thread);
	assert_int_equal(stat.start_stack, 0);
	assert_int_equal(procfs_read(proc, (uint32_t)getpid(), 0, FIELDS_ALL, &event, text, &stat), 0);
	assert_true(stat.settled);
	assert_false(stat.kernel_thread);
	/* Without the program it is not looked at. */
	assert_int_equal(procfs_read(proc, (uint32_t)getpid(), 0, 0, &event, text, &stat), 0);
	assert_false(stat.settled);
	close(proc);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_stat_cut),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_unit),
		cmocka_unit_test(test_tty),
		cmocka_unit_test_setup_teardown(test_read, fake_setup, fake_teardown),
		cmocka_unit_test_setup_teardown(test_scan, fake_setup, fake_teardown),
		cmocka_unit_test_setup_teardown(test_scan_incomplete, fake_setup, fake_teardown),
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_protected),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
