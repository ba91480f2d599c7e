/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All directories of a cgroup hierarchy, read at one time. This may take long: do not call it in the event loop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than this many are not taken. */
#define CGROUPS_READ_MAX 65536

struct cgroups_entry {
	uint64_t id;
	size_t path; /* in texts, with a NUL */
};

struct cgroups_list {
	struct cgroups_entry *entries; /* owned, as are the texts */
	char *texts;
	size_t n, max, size, texts_max;
};

/* cgroups_root() - where cgroup v2 is mounted, to be freed. Return: NULL where it is not, or without memory. */
char *cgroups_root(void);

/* cgroups_read() - replaces what was in @list. Return: 0 or a negative errno. */
int cgroups_read(struct cgroups_list *list, const char *root);
void cgroups_list_done(struct cgroups_list *list);
