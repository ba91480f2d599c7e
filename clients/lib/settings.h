/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a handle asks for. */

#include <jansson.h>

#include "filter.h"

struct settings_pid {
	uint32_t pid;
	uint64_t start_usec;
	bool pinned; /* the start is known, or cannot be */
};

struct settings {
	json_t *filter; /* all keys but pids and tree; NULL: none yet */
	struct settings_pid *pids;
	size_t n_pids;
	bool has_tree;
	struct settings_pid tree;
	char *since; /* a span; a cursor is a position */
	bool snapshot, complete;
};

void settings_done(struct settings *settings);

/* settings_filter() - the filter as it is asked for. Return: the caller's, NULL without memory. */
json_t *settings_filter(const struct settings *settings);

/* settings_unpinned() - the next pid whose process has to be found out. Return: NULL if there is none. */
struct settings_pid *settings_unpinned(struct settings *settings);

/*
 * settings_ring_filter() - the same for those who read the ring, where filters are ours to apply
 * Return: 0, and NULL where what is asked for is not all in the ring, or needs more than a look at each event; -ENOMEM.
 */
int settings_ring_filter(const struct settings *settings, struct filter **ret);
