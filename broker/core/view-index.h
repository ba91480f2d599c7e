/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which views can want an event: those whose filter or visibility names uids are found by the event's uid, so
 * that a thousand tenants cost little more than one; all others are asked every time.
 */

#include <sys/queue.h>

#include "access.h"
#include "filter.h"

struct view;
struct view_index;

struct view_entry {
	struct view *view;
	LIST_ENTRY(view_entry) link;
};

LIST_HEAD(view_entry_list, view_entry);

/* Where a view stands in the index. It stays where it is. */
struct view_place {
	struct view_entry one;	    /* beside the view, since that is what is looked at next */
	struct view_entry *entries; /* one a uid, or one in the list of all others */
	size_t n_entries;
	uint32_t *uids; /* of the entries; NULL for the list of all others */
};

int view_index_new(struct view_index **ret);
struct view_index *view_index_free(struct view_index *index);

/* view_index_add() - Return: 0 or -ENOMEM. */
int view_index_add(struct view_index *index, struct view *view, struct view_place *place,
		   const struct filter *filter, struct visibility visibility);
void view_index_remove(struct view_index *index, struct view_place *place);

/* The views that are asked about every event, and those of a uid; NULL if there are none. */
struct view_entry_list *view_index_others(struct view_index *index);
struct view_entry_list *view_index_uid(struct view_index *index, uint32_t uid);
