/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Finds the views that an event can match: views with processes by the event's pid, views whose filter or visibility has
 * uids by its uid, views with types by its type. So a thousand tenants, or a thousand subscribers that wait for one process
 * each, cost little more than one; only views with none of these are offered every event. Views of a tree are not in here:
 * their label has them.
 */

#include <stdint.h>
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

/* The entries of a view in the index. It must not move. */
struct view_place {
	struct view_entry one;	    /* inside the view, since the view is read next */
	struct view_entry *entries; /* one for each key */
	uint64_t *keys;
	size_t n_entries;
};

int view_index_new(struct view_index **ret);
struct view_index *view_index_free(struct view_index *index);

/* view_index_add() - @filter: its pids resolved and sorted. Return: 0 or -ENOMEM. */
int view_index_add(struct view_index *index, struct view *view, struct view_place *place,
		   const struct filter *filter, struct visibility visibility);
void view_index_remove(struct view_index *index, struct view_place *place);

#define VIEW_INDEX_LISTS 5

/*
 * view_index_find() - the views that an event can match
 * Not for types that concern every view (EVENT_TYPES_ALWAYS). A view may be found twice, by the two uids of an id event.
 * Return: how many @lists were set.
 */
unsigned int view_index_find(struct view_index *index, const struct fb_event *event,
			     struct view_entry_list *lists[static VIEW_INDEX_LISTS]);
