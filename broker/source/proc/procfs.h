/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Read a process from /proc, as a process event. Any call that reads may sleep (for example, for the lock of a cgroup
 * hierarchy): do not call these functions in the event loop once it runs. The functions that only parse a text
 * (procfs-parse.c) are allowed there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

#define PROCFS_COMM_MAX 64
#define PROCFS_TTY_MAX	16

/* The texts of an event. */
struct procfs_text {
	char comm[PROCFS_COMM_MAX];
	char tty[PROCFS_TTY_MAX];
	char exe[EVENT_PATH_MAX];
	char cgroup[EVENT_PATH_MAX];
};

/* From /proc/PID/stat. */
struct procfs_stat {
	struct event_text comm;		   /* within the line */
	char state;			   /* 'Z' or 'X': ended, but threads may live on */
	uint32_t ppid, pgid, session, tty; /* @tty: device number, 0: none */
	uint32_t threads;
	uint64_t start_usec;  /* CLOCK_BOOTTIME, cut to a clock tick */
	uint64_t start_stack; /* 0: not permitted, or its program is still being loaded */
	bool kernel_thread;
	/*
	 * Its program had run code of its own when everything else was read, or it is a kernel thread, which has none. Before
	 * that, while the kernel loads the program, /proc shows it already, although its exec is not reported yet.
	 */
	bool settled;
	uint32_t status; /* its wait status, once it has ended; 0 for those who must not trace it */
};

/* Has the whole process ended, and waits for its parent? */
static inline bool procfs_stat_is_dead(const struct procfs_stat *stat)
{
	return (stat->state == 'Z' || stat->state == 'X') && stat->threads <= 1;
}

enum {
	_PROCFS_E_SUCCESS,
	PROCFS_E_GONE, /* no such process, or another one */
	PROCFS_E_TEXT, /* not in the kernel's format */
};

/*
 * procfs_start_matches() - can a process with this start time be the one of this stat?
 * The start is cut to a tick in /proc, so it is never later; a source may have read its clock some time after it.
 */
bool procfs_start_matches(uint64_t in_stat, uint64_t start_usec);

/* procfs_parse_stat() - Return: 0 or PROCFS_E_TEXT. */
int procfs_parse_stat(struct procfs_stat *stat, const char *text, size_t len);

/* procfs_parse_shared() - the pages of files in /proc/PID/statm. Return: 0 or PROCFS_E_TEXT. */
int procfs_parse_shared(uint64_t *pages, const char *text, size_t len);

/* procfs_parse_ids() - real and effective ids from /proc/PID/status. Return: 0 or PROCFS_E_TEXT. */
int procfs_parse_ids(struct fb_event *event, const char *text, size_t len);

/*
 * procfs_parse_cgroup() - the path in /proc/PID/cgroup: that of cgroup v2, or of v1's name=systemd if that is more exact
 * Return: the path within @text; empty where there is none.
 */
struct event_text procfs_parse_cgroup(const char *text, size_t len);

/*
 * unit_from_cgroup() - the system unit: what follows the slices, as sd_pid_get_unit(3) finds it
 * For processes of a user's manager this is user@UID.service; user units are ignored. Return: a part of @path,
 * empty where there is none.
 */
struct event_text unit_from_cgroup(struct event_text path);

/* procfs_print_tty() - name of a terminal, as under /dev, from its device number. Return: its length. */
size_t procfs_print_tty(char buf[static PROCFS_TTY_MAX], uint32_t device);

/* procfs_open() - Return: a descriptor of /proc, or a negative errno. */
int procfs_open(void);

#define PROCFS_IDS (EVENT_BIT(uid) | EVENT_BIT(gid) | EVENT_BIT(euid) | EVENT_BIT(egid))

/*
 * procfs_read() - fill a process event
 * @proc: from procfs_open()
 * @start_usec: the start time of the process, 0: any process with this pid
 * @fields: EVENT_BIT()s of fields that cost a file of their own (ids, exe, cgroup, login_uid); the others are always read
 * @stat: NULL, or set to the values that are not in the event
 * Everything is read through one descriptor of /proc/PID, so that no values of another process get in. Texts point into @text.
 * privacy says whether the kernel protects the process from its user: it does after an exec that gave the program ids or
 * capabilities, or of a file that the user cannot read, and after a change of ids, until the next exec; or if the program asks
 * for it (prctl(2), PR_SET_DUMPABLE). Absent where that cannot be seen.
 * Return: 0, PROCFS_E_GONE, or a negative errno: whether the process lives is not known.
 */
int procfs_read(int proc, uint32_t pid, uint64_t start_usec, field_set fields, struct fb_event *event,
		struct procfs_text *text, struct procfs_stat *stat);

/*
 * procfs_scan() - call @fn for each living process, by ascending pid, with the ids of its living threads
 * @skipped: 0, or the error why processes that may live could not be read: a negative errno, preferably a temporary one
 * Return: 0, what @fn returned if not 0 (the scan ends there), or a negative errno.
 */
typedef int (*procfs_scan_fn)(const struct fb_event *event, const uint32_t *tids, size_t n_tids,
			      void *userdata);
int procfs_scan(int proc, procfs_scan_fn fn, void *userdata, int *skipped);
