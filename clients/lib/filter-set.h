/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a handle asks for. */

#include <jansson.h>

#include "filter.h"

struct filter_set_pid {
	struct process_id id;
	bool pinned; /* its start is known, or cannot be */
};

struct filter_set {
	json_t *filter; /* all keys but pids and tree; NULL: none yet */
	struct filter_set_pid *pids;
	size_t n_pids;
	bool has_tree;
	struct filter_set_pid tree;
	char *since; /* a span; a cursor is a position */
	bool snapshot, complete;
};

void filter_set_done(struct filter_set *set);

/* filter_set_json() - the filter as it is asked for. Return: the caller's, NULL without memory. */
json_t *filter_set_json(const struct filter_set *set);

/* filter_set_unpinned() - the next pid whose process has to be found out. Return: NULL if there is none. */
struct filter_set_pid *filter_set_unpinned(struct filter_set *set);

/*
 * filter_set_ring_filter() - the same for those who read the ring, where filters are ours to apply
 * Return: 0, and NULL where what is asked for is not all in the ring, or needs more than a look at each event; -ENOMEM.
 */
int filter_set_ring_filter(const struct filter_set *set, struct filter **ret);
