/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The request of a handle: its filter, and where it begins. */

#include <jansson.h>

#include "filter.h"

struct filter_set_pid {
	struct process_id id;
	bool pinned; /* its start is known, or cannot be found out */
};

struct filter_set {
	json_t *filter; /* all keys except pids and tree; NULL: none yet */
	struct filter_set_pid *pids;
	size_t n_pids;
	bool has_tree;
	struct filter_set_pid tree;
	char *since; /* a span; a cursor is a position */
	bool snapshot, complete;
};

void filter_set_done(struct filter_set *set);

/* filter_set_json() - the filter as the request contains it. Return: owned by the caller; NULL: no memory. */
json_t *filter_set_json(const struct filter_set *set);

/* filter_set_unpinned() - the next pid whose start time is to be looked up. Return: NULL if there is none. */
struct filter_set_pid *filter_set_unpinned(struct filter_set *set);

/*
 * filter_set_ring_filter() - the same for reading the ring, whose events the library filters itself
 * Return: 0 or -ENOMEM. The filter is NULL if the ring does not have all requested events, or if a match depends on more
 * than the event.
 */
int filter_set_ring_filter(const struct filter_set *set, struct filter **ret);
