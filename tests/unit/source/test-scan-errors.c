// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Without descriptors or memory no process is reported as ended: every call that a scan makes fails once, with each of the errors
 * that say nothing about a process. The functions below replace those of the C library.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "source/proc/procfs.h"
#include "source/proc/snapshot.h"
#include "tests/unit/support.h"

#define PROCESSES 3

enum call { OPENAT, FDOPENDIR, READDIR, READ, READLINKAT, FSTATAT, N_CALLS };

static enum call failing;
static unsigned int until; /* 1: the next such call fails; 0: none does */
static int error;

static bool fails(enum call call)
{
	if (call != failing || until == 0 || --until > 0)
		return false;
	errno = error;
	return true;
}

/* The C library's function. */
#define REAL(_name) ((__typeof__(&(_name)))dlsym(RTLD_NEXT, #_name))

int openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list list;

	va_start(list, flags);
	if (flags & O_CREAT)
		mode = va_arg(list, mode_t);
	va_end(list);
	return fails(OPENAT) ? -1 : REAL(openat)(dir, path, flags, mode);
}

DIR *fdopendir(int fd)
{
	return fails(FDOPENDIR) ? NULL : REAL(fdopendir)(fd);
}

struct dirent *readdir(DIR *dir)
{
	return fails(READDIR) ? NULL : REAL(readdir)(dir);
}

ssize_t read(int fd, void *data, size_t size)
{
	return fails(READ) ? -1 : REAL(read)(fd, data, size);
}

ssize_t readlinkat(int dir, const char *path, char *target, size_t size)
{
	return fails(READLINKAT) ? -1 : REAL(readlinkat)(dir, path, target, size);
}

int fstatat(int dir, const char *path, struct stat *stat, int flags)
{
	return fails(FSTATAT) ? -1 : REAL(fstatat)(dir, path, stat, flags);
}

static int proc;

static void write_file(uint32_t pid, const char *name, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%u/%s", pid, name);
	fd = openat(proc, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void make_process(uint32_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "%u", pid);
	assert_int_equal(mkdirat(proc, path, 0755), 0);
	snprintf(path, sizeof(path), "%u/task", pid);
	assert_int_equal(mkdirat(proc, path, 0755), 0);
	snprintf(path, sizeof(path), "%u/task/%u", pid, pid);
	assert_int_equal(mkdirat(proc, path, 0755), 0);
	write_file(pid, "stat", "1 (a) S 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 100 0 0\n");
	write_file(pid, "status", "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
	write_file(pid, "cgroup", "0::/\n");
	write_file(pid, "statm", "1 1 1 1 0 1 0\n");
	write_file(pid, "loginuid", "1000");
	snprintf(path, sizeof(path), "%u/exe", pid);
	assert_int_equal(symlinkat("/bin/true", proc, path), 0);
}

static int set_up(void **state)
{
	(void)state;
	test_dir_make();
	assert_int_equal(mkdir(test_path("proc"), 0755), 0);
	proc = open(test_path("proc"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (uint32_t pid = 1; pid <= PROCESSES; pid++)
		make_process(pid);
	return 0;
}

static int tear_down(void **state)
{
	char command[256];

	(void)state;
	close(proc);
	snprintf(command, sizeof(command), "rm -rf %s", test_path("proc"));
	assert_int_equal(system(command), 0);
	test_dir_remove();
	return 0;
}

/* Return: whether there was such a call. */
static bool scan_with(enum call call, int errnum, unsigned int n)
{
	struct proc_snapshot snapshot = {};
	int r;

	failing = call;
	error = errnum;
	until = n;
	r = proc_snapshot_take(&snapshot, proc);
	if (r == 0 && snapshot.skipped == 0 && snapshot.n != PROCESSES)
		fail_msg("%zu processes when call %u of kind %d fails: %s", snapshot.n, n, (int)call,
			 strerror(errnum));
	proc_snapshot_done(&snapshot);
	n = until;
	until = 0;
	return n == 0;
}

static bool question_with(enum call call, int errnum, unsigned int n)
{
	static struct procfs_text text;
	struct fb_event event;

	failing = call;
	error = errnum;
	until = n;
	assert_int_not_equal(procfs_read(proc, 2, 0, FIELDS_ALL, &event, &text, NULL), PROCFS_E_GONE);
	n = until;
	until = 0;
	return n == 0;
}

static void test_errors(void **state)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, EINTR, EIO };
	unsigned int failed[2] = { 0 };

	(void)state;
	assert_false(scan_with(N_CALLS, EMFILE, 1));
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		for (enum call call = 0; call < N_CALLS; call++) {
			for (unsigned int n = 1; scan_with(call, errors[i], n); n++)
				failed[0]++;
			for (unsigned int n = 1; question_with(call, errors[i], n); n++)
				failed[1]++;
		}
	}
	print_message("%u and %u failures\n", failed[0], failed[1]);
	assert_true(failed[0] > 100 && failed[1] > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down) };

	return cmocka_run_group_tests_name("scan-errors", tests, NULL, NULL);
}
