// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/proc/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define PID_TEXT_MAX   24
#define LOGIN_UID_NONE UINT32_MAX

/* A source reads two clocks, one after the other. */
#define CLOCK_USEC 1000

int procfs_open(void)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Reads a small file completely. Return: its length, or a negative errno. */
static ssize_t read_at(int dir, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < size && (n = read(fd, buf + len, size - len)) != 0) {
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* Only these errors mean that there is no such process; without descriptors or memory it is unknown. */
static int error_of(int r)
{
	return r == -ENOENT || r == -ESRCH ? PROCFS_E_GONE : r;
}

static int open_pid(int proc, uint32_t pid)
{
	char name[PID_TEXT_MAX];
	int fd;

	snprintf(name, sizeof(name), "%u", pid);
	fd = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool procfs_start_matches(uint64_t in_stat, uint64_t start_usec)
{
	const uint64_t tick = 10 * USEC_PER_MSEC;

	return in_stat <= start_usec + CLOCK_USEC && start_usec < in_stat + 2 * tick;
}

static int read_stat(int dir, struct procfs_stat *stat, struct fb_event *event, struct procfs_text *text)
{
	char buf[1024];
	ssize_t len = read_at(dir, "stat", buf, sizeof(buf));

	if (len < 0)
		return error_of((int)len);
	if (procfs_parse_stat(stat, buf, (size_t)len) != 0)
		return -EBADMSG;
	if (stat->comm.len > sizeof(text->comm))
		stat->comm.len = sizeof(text->comm);
	memcpy(text->comm, stat->comm.data, stat->comm.len);
	stat->comm.data = text->comm;
	EVENT_SET(event, start_usec, stat->start_usec);
	EVENT_SET(event, ppid, stat->ppid);
	EVENT_SET(event, pgid, stat->pgid);
	EVENT_SET(event, session, stat->session);
	EVENT_SET(event, comm, stat->comm);
	if (stat->tty)
		EVENT_SET(event, tty,
			  ((struct event_text){ text->tty, procfs_print_tty(text->tty, stat->tty) }));
	return 0;
}

/*
 * A new program has no page of a file before its first instruction: the kernel itself only writes to its memory. Kernels before
 * 6.17 do not count the first pages at once, but a program that sleeps has run, too, unless it is still being loaded.
 */
static bool is_settled(int dir)
{
	char buf[1024];
	ssize_t len = read_at(dir, "statm", buf, sizeof(buf));
	struct procfs_stat stat;
	uint64_t pages;

	if (len <= 0 || procfs_parse_shared(&pages, buf, (size_t)len) != 0)
		return false;
	if (pages > 0)
		return true;
	len = read_at(dir, "stat", buf, sizeof(buf));
	return len > 0 && procfs_parse_stat(&stat, buf, (size_t)len) == 0 && stat.state == 'S' &&
	       stat.start_stack != 0;
}

static void read_ids(int dir, struct fb_event *event)
{
	char buf[4096];
	ssize_t len = read_at(dir, "status", buf, sizeof(buf));

	if (len > 0)
		(void)procfs_parse_ids(event, buf, (size_t)len);
}

static void read_login_uid(int dir, struct fb_event *event)
{
	char buf[PID_TEXT_MAX];
	ssize_t len = read_at(dir, "loginuid", buf, sizeof(buf) - 1);
	unsigned long value;

	if (len <= 0)
		return;
	buf[len] = '\0';
	value = strtoul(buf, NULL, 10);
	if (value < LOGIN_UID_NONE)
		EVENT_SET(event, login_uid, (uint32_t)value);
}

static void read_exe(int dir, struct fb_event *event, struct procfs_text *text)
{
	ssize_t len = readlinkat(dir, "exe", text->exe, sizeof(text->exe));

	if (len > 0)
		EVENT_SET(event, exe, ((struct event_text){ text->exe, (size_t)len }));
}

static void read_cgroup(int dir, struct fb_event *event, struct procfs_text *text)
{
	/* One line per hierarchy; the relevant one is the last, or among the first. */
	char buf[4 * EVENT_PATH_MAX];
	ssize_t len = read_at(dir, "cgroup", buf, sizeof(buf));
	struct event_text path, unit;

	if (len <= 0)
		return;
	path = procfs_parse_cgroup(buf, (size_t)len);
	if (path.len == 0)
		return;
	if (path.len > sizeof(text->cgroup))
		path.len = sizeof(text->cgroup);
	memcpy(text->cgroup, path.data, path.len);
	path.data = text->cgroup;
	EVENT_SET(event, cgroup, path);
	unit = unit_from_cgroup(path);
	if (unit.len > 0)
		EVENT_SET(event, unit, unit);
}

/*
 * The files below /proc/PID belong to the effective user, or to root where the kernel protects the process (it is not
 * "dumpable"); the directory always belongs to the effective user. Return: a set of enum privacy.
 */
static uint32_t protection_of(int dir, const char *name)
{
	struct stat file, user;

	if (fstatat(dir, name, &file, AT_SYMLINK_NOFOLLOW) < 0 || fstat(dir, &user) < 0)
		return PRIVACY_ALL;
	return file.st_uid == user.st_uid && file.st_gid == user.st_gid ? PRIVACY_NONE : PRIVACY_ALL;
}

/*
 * exe, and whether the program is protected, before and after: an exec may come in between. A process that has given back its
 * memory, since it ends, looks protected, but it has no exe any more.
 */
static void read_program(int dir, struct fb_event *event, struct procfs_text *text)
{
	uint32_t first = protection_of(dir, "exe"), last;

	read_exe(dir, event, text);
	last = protection_of(dir, "exe");
	if (EVENT_HAS(event, exe))
		EVENT_SET(event, privacy,
			  first == PRIVACY_NONE && last == PRIVACY_NONE ? PRIVACY_NONE : PRIVACY_ALL);
}

static int read_dir(int dir, uint64_t start_usec, field_set fields, struct fb_event *event,
		    struct procfs_text *text, struct procfs_stat *stat)
{
	int r = read_stat(dir, stat, event, text);

	if (r != 0)
		return r;
	if (start_usec && !procfs_start_matches(stat->start_usec, start_usec))
		return PROCFS_E_GONE;
	if (fields & PROCFS_IDS)
		read_ids(dir, event);
	if (fields & EVENT_BIT(exe))
		read_program(dir, event, text);
	if (fields & EVENT_BIT(cgroup))
		read_cgroup(dir, event, text);
	if (fields & EVENT_BIT(login_uid))
		read_login_uid(dir, event);
	/* After everything else. */
	stat->settled = stat->kernel_thread || ((fields & EVENT_BIT(exe)) && is_settled(dir));
	return 0;
}

int procfs_read(int proc, uint32_t pid, uint64_t start_usec, field_set fields, struct fb_event *event,
		struct procfs_text *text, struct procfs_stat *stat)
{
	_cleanup_close_ int dir = open_pid(proc, pid);
	struct procfs_stat unused;

	if (dir < 0)
		return error_of(dir);
	fb_event_init(event, EVENT_PROCESS);
	EVENT_SET(event, pid, pid);
	return read_dir(dir, start_usec, fields, event, text, stat ? stat : &unused);
}

/* Numbers that are names in a directory, in its order. */
struct numbers {
	uint32_t *values;
	size_t n, max;
};

static bool is_number(const char *name)
{
	return *name >= '1' && *name <= '9' && strspn(name, "0123456789") == strlen(name);
}

static int numbers_read(struct numbers *numbers, DIR *dir)
{
	const struct dirent *entry;
	uint32_t *values;

	numbers->n = 0;
	while (errno = 0, entry = readdir(dir)) {
		if (!is_number(entry->d_name))
			continue;
		if (numbers->n == numbers->max) {
			values = reallocarray(numbers->values, numbers->max + 256, sizeof(*values));
			if (!values)
				return -ENOMEM;
			numbers->values = values;
			numbers->max += 256;
		}
		numbers->values[numbers->n++] = (uint32_t)strtoul(entry->d_name, NULL, 10);
	}
	return -errno;
}

static int numbers_read_at(struct numbers *numbers, int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream;
	int r;

	numbers->n = 0;
	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream)
		return -errno;
	(void)steal_fd(&fd);
	r = numbers_read(numbers, stream);
	closedir(stream);
	return r;
}

/* A leader that has ended stays until its threads have. */
static void numbers_drop(struct numbers *numbers, uint32_t value)
{
	for (size_t i = 0; i < numbers->n; i++)
		if (numbers->values[i] == value) {
			numbers->values[i] = numbers->values[--numbers->n];
			return;
		}
}

/* Return: 0, PROCFS_E_GONE, or a negative errno: it may live. */
static int read_one(int proc, uint32_t pid, struct fb_event *event, struct procfs_text *text,
		    struct numbers *tids)
{
	_cleanup_close_ int dir = open_pid(proc, pid);
	struct procfs_stat stat;
	int r;

	if (dir < 0)
		return error_of(dir);
	fb_event_init(event, EVENT_PROCESS);
	EVENT_SET(event, pid, pid);
	r = read_dir(dir, 0, FIELDS_ALL, event, text, &stat);
	if (r != 0)
		return r;
	if (procfs_stat_is_dead(&stat))
		return PROCFS_E_GONE;
	r = numbers_read_at(tids, dir, "task");
	if (r < 0)
		return error_of(r);
	if (stat.state == 'Z' || stat.state == 'X')
		numbers_drop(tids, pid);
	return tids->n > 0 ? 0 : PROCFS_E_GONE;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool is_lasting(int r)
{
	return r == 0 || r == -EPERM || r == -EACCES;
}

int procfs_scan(int proc, procfs_scan_fn fn, void *userdata, int *skipped)
{
	_cleanup_free_ struct procfs_text *text = malloc(sizeof(*text));
	struct numbers pids = {}, tids = {};
	struct fb_event event;
	int r, got;

	*skipped = 0;
	if (!text)
		return -ENOMEM;
	r = numbers_read_at(&pids, proc, ".");
	if (r == 0 && pids.n > 0)
		qsort(pids.values, pids.n, sizeof(*pids.values), compare_numbers);
	for (size_t i = 0; r == 0 && i < pids.n; i++) {
		got = read_one(proc, pids.values[i], &event, text, &tids);
		if (got == 0)
			r = fn(&event, tids.values, tids.n, userdata);
		else if (got < 0 && is_lasting(*skipped))
			*skipped = got;
	}
	free(pids.values);
	free(tids.values);
	return r;
}
