/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Paths of cgroups by their ids: the ids of the cgroup v2 hierarchy, which are the inode numbers of its directories. A
 * thread reads the hierarchy; the event loop looks up the results, and never waits.
 */

#include "event.h"

/* The number of paths to keep; the least recently used ones are dropped. */
#define CGROUPS_MAX 4096

struct cgroups;

/*
 * cgroups_new() - find the hierarchy, and read it for the first time
 * @root: the mount point, NULL: read it from /proc/self/mountinfo
 * Return: 0, -ENOENT where there is none, or another negative errno.
 */
int cgroups_new(struct cgroups **ret, const char *root);
/* NULL is fine. Return: NULL. */
struct cgroups *cgroups_free(struct cgroups *cgroups);

enum {
	_CGROUPS_E_SUCCESS,
	CGROUPS_E_LATER,   /* a search is running, or about to start: try again soon */
	CGROUPS_E_UNKNOWN, /* there is none with this id, or the last search was too recent */
};

/*
 * cgroups_find() - the path of an id, as in /proc/PID/cgroup
 * @path: valid until the next cgroups_find() or cgroups_collect()
 */
int cgroups_find(struct cgroups *cgroups, uint64_t id, struct event_text *path);

/* cgroups_fd() - readable when a reading has ended: call cgroups_collect() then */
int cgroups_fd(const struct cgroups *cgroups);
void cgroups_collect(struct cgroups *cgroups);

struct cgroups_stats {
	uint64_t readings, unknown;
	size_t kept;
};
const struct cgroups_stats *cgroups_stats(const struct cgroups *cgroups);
