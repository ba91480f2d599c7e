// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/view-index.h"

#define BITS_MIN 4

/* A place of the table; free while there is no view. */
struct uid_views {
	struct view_entry_list views;
	uint32_t uid;
};

/*
 * Uids are looked up in a table of open addresses, half full at most: a thousand of them are 32 KiB, which stay in the
 * processor's caches, where every node of a chain would be waited for.
 */
struct view_index {
	struct uid_views *uids;
	unsigned int bits; /* the table has 2^bits places */
	size_t n;	   /* of which are taken */
	struct view_entry_list others;
};

int view_index_new(struct view_index **ret)
{
	struct view_index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	LIST_INIT(&index->others);
	index->bits = BITS_MIN;
	index->uids = calloc((size_t)1 << index->bits, sizeof(*index->uids));
	if (!index->uids) {
		free(index);
		return -ENOMEM;
	}
	*ret = index;
	return 0;
}

struct view_index *view_index_free(struct view_index *index)
{
	if (index)
		free(index->uids);
	free(index);
	return NULL;
}

static size_t mask_of(const struct view_index *index)
{
	return ((size_t)1 << index->bits) - 1;
}

/* Uids come one after the other, or many ranges of them begin at multiples of 65,536: the upper bits differ either way. */
static size_t home_of(const struct view_index *index, uint32_t uid)
{
	return (uid * UINT32_C(2654435769)) >> (32 - index->bits);
}

/* Where a uid is, or would be. */
static struct uid_views *find_uid(const struct view_index *index, uint32_t uid)
{
	size_t i = home_of(index, uid);

	while (!LIST_EMPTY(&index->uids[i].views) && index->uids[i].uid != uid)
		i = (i + 1) & mask_of(index);
	return &index->uids[i];
}

/* To a free place. What is first in a list points to its head. */
static void move(struct uid_views *to, struct uid_views *from)
{
	struct view_entry *first = LIST_FIRST(&from->views);

	to->uid = from->uid;
	LIST_FIRST(&to->views) = first;
	first->link.le_prev = &LIST_FIRST(&to->views);
	LIST_INIT(&from->views);
}

/* The last view of a uid has gone: those behind that would have had its place close up. */
static void close_gap(struct view_index *index, struct uid_views *gap)
{
	size_t free = (size_t)(gap - index->uids), i = free;

	index->n--;
	for (;;) {
		i = (i + 1) & mask_of(index);
		if (LIST_EMPTY(&index->uids[i].views))
			return;
		if (((i - home_of(index, index->uids[i].uid)) & mask_of(index)) <
		    ((i - free) & mask_of(index)))
			continue;
		move(&index->uids[free], &index->uids[i]);
		free = i;
	}
}

static int grow(struct view_index *index)
{
	struct view_index larger = { .bits = index->bits + 1 };
	size_t n = (size_t)1 << index->bits;

	larger.uids = calloc(2 * n, sizeof(*larger.uids));
	if (!larger.uids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!LIST_EMPTY(&index->uids[i].views))
			move(find_uid(&larger, index->uids[i].uid), &index->uids[i]);
	free(index->uids);
	index->uids = larger.uids;
	index->bits = larger.bits;
	return 0;
}

/*
 * The uids one of which every event has that a view can want: those of the filter, or that of the visibility. Not what is
 * in both: when a process of the visible uid becomes one of the filter's, the event has both.
 */
static int collect_uids(struct view_place *place, const struct filter *filter, struct visibility visibility)
{
	size_t n = visibility.all ? filter->n_uids : 1;

	place->uids = calloc(n, sizeof(*place->uids));
	if (!place->uids)
		return -ENOMEM;
	memcpy(place->uids, visibility.all ? filter->uids : &visibility.uid, n * sizeof(*place->uids));
	place->n_entries = n;
	return 0;
}

static int enter_uid(struct view_index *index, uint32_t uid, struct view_entry *entry)
{
	struct uid_views *views = find_uid(index, uid);

	if (LIST_EMPTY(&views->views)) {
		if (index->n >= mask_of(index) / 2) {
			if (grow(index) < 0)
				return -ENOMEM;
			views = find_uid(index, uid);
		}
		views->uid = uid;
		index->n++;
	}
	LIST_INSERT_HEAD(&views->views, entry, link);
	return 0;
}

static int enter_uids(struct view_index *index, struct view_place *place)
{
	for (size_t i = 0; i < place->n_entries; i++) {
		if (enter_uid(index, place->uids[i], &place->entries[i]) < 0) {
			place->n_entries = i;
			return -ENOMEM;
		}
	}
	return 0;
}

int view_index_add(struct view_index *index, struct view *view, struct view_place *place,
		   const struct filter *filter, struct visibility visibility)
{
	/* A tree grows by forks that its subscriber may not see: it is asked about all. */
	bool other = filter->has_tree || (visibility.all && filter->n_uids == 0);
	int r = 0;

	*place = (struct view_place){ 0 };
	if (other)
		place->n_entries = 1;
	else
		r = collect_uids(place, filter, visibility);
	if (r < 0)
		return r;
	place->entries = &place->one;
	if (place->n_entries > 1)
		place->entries = calloc(place->n_entries, sizeof(*place->entries));
	if (!place->entries) {
		place->n_entries = 0;
		view_index_remove(index, place);
		return -ENOMEM;
	}
	for (size_t i = 0; i < place->n_entries; i++)
		place->entries[i].view = view;
	if (other)
		LIST_INSERT_HEAD(&index->others, &place->entries[0], link);
	else
		r = enter_uids(index, place);
	if (r < 0)
		view_index_remove(index, place);
	return r;
}

void view_index_remove(struct view_index *index, struct view_place *place)
{
	for (size_t i = 0; i < place->n_entries; i++) {
		struct uid_views *views = place->uids ? find_uid(index, place->uids[i]) : NULL;

		LIST_REMOVE(&place->entries[i], link);
		if (views && LIST_EMPTY(&views->views))
			close_gap(index, views);
	}
	if (place->entries != &place->one)
		free(place->entries);
	free(place->uids);
	*place = (struct view_place){ 0 };
}

struct view_entry_list *view_index_others(struct view_index *index)
{
	return &index->others;
}

struct view_entry_list *view_index_uid(struct view_index *index, uint32_t uid)
{
	struct uid_views *views = find_uid(index, uid);

	return LIST_EMPTY(&views->views) ? NULL : &views->views;
}
