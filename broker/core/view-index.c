// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash-number.h"

#include "core/view-index.h"

struct uid_views {
	uint32_t uid;
	struct view_entry_list views;
	UT_hash_handle hh;
};

struct view_index {
	struct uid_views *uids;
	struct view_entry_list others;
};

int view_index_new(struct view_index **ret)
{
	struct view_index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	LIST_INIT(&index->others);
	*ret = index;
	return 0;
}

struct view_index *view_index_free(struct view_index *index)
{
	free(index);
	return NULL;
}

static struct uid_views *find_uid(struct view_index *index, uint32_t uid)
{
	struct uid_views *views;

	HASH_FIND(hh, index->uids, &uid, sizeof(uid), views);
	return views;
}

static void prune(struct view_index *index, struct uid_views *views)
{
	if (!LIST_EMPTY(&views->views))
		return;
	HASH_DEL(index->uids, views);
	free(views);
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

static struct uid_views *get_uid(struct view_index *index, uint32_t uid)
{
	struct uid_views *views = find_uid(index, uid);
	bool oom = false;

	if (views)
		return views;
	views = calloc(1, sizeof(*views));
	if (!views)
		return NULL;
	views->uid = uid;
	LIST_INIT(&views->views);
	HASH_ADD(hh, index->uids, uid, sizeof(views->uid), views);
	if (oom) {
		free(views);
		return NULL;
	}
	return views;
}

static int enter_uids(struct view_index *index, struct view_place *place)
{
	for (size_t i = 0; i < place->n_entries; i++) {
		struct uid_views *views = get_uid(index, place->uids[i]);

		if (!views) {
			place->n_entries = i;
			return -ENOMEM;
		}
		LIST_INSERT_HEAD(&views->views, &place->entries[i], link);
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
		LIST_REMOVE(&place->entries[i], link);
		if (place->uids)
			prune(index, find_uid(index, place->uids[i]));
	}
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

	return views ? &views->views : NULL;
}
