// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "core/view-index.h"

#define BITS_MIN 5

/* A key is a kind and a number. */
enum kind { KIND_ANY, KIND_TYPE, KIND_UID, KIND_PID, _KIND_MAX };

/* A place of the table; free while there is no view. */
struct slot {
	struct view_entry_list views;
	uint64_t key;
};

/*
 * Keys are in a hash table with open addressing, at most half full: a thousand of them are 32 KiB, which stay in the
 * processor's caches. With chains, every node would be a wait for memory.
 */
struct view_index {
	struct slot *slots;
	unsigned int bits;	  /* the table has 2^bits places */
	size_t n_keys[_KIND_MAX]; /* that are there */
	size_t n;		  /* all of them */
};

static uint64_t key_of(enum kind kind, uint32_t number)
{
	return (uint64_t)kind << 32 | number;
}

static size_t *count_of(struct view_index *index, uint64_t key)
{
	return &index->n_keys[key >> 32];
}

int view_index_new(struct view_index **ret)
{
	struct view_index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	index->bits = BITS_MIN;
	index->slots = calloc((size_t)1 << index->bits, sizeof(*index->slots));
	if (!index->slots) {
		free(index);
		return -ENOMEM;
	}
	*ret = index;
	return 0;
}

struct view_index *view_index_free(struct view_index *index)
{
	if (index)
		free(index->slots);
	free(index);
	return NULL;
}

static size_t mask_of(const struct view_index *index)
{
	return ((size_t)1 << index->bits) - 1;
}

/* Numbers are consecutive, or ranges of uids begin at multiples of 65,536: the upper bits of the product differ for both. */
static size_t home_of(const struct view_index *index, uint64_t key)
{
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - index->bits));
}

/* The place of a key, or the place where it would be. */
static struct slot *find(const struct view_index *index, uint64_t key)
{
	size_t i = home_of(index, key);

	while (!LIST_EMPTY(&index->slots[i].views) && index->slots[i].key != key)
		i = (i + 1) & mask_of(index);
	return &index->slots[i];
}

/* Moves a key to a free place. The first element of a list points to its head. */
static void move(struct slot *to, struct slot *from)
{
	struct view_entry *first = LIST_FIRST(&from->views);

	to->key = from->key;
	LIST_FIRST(&to->views) = first;
	first->link.le_prev = &LIST_FIRST(&to->views);
	LIST_INIT(&from->views);
}

/* The last view of a key was removed: later keys that hash to its place move up. */
static void close_gap(struct view_index *index, struct slot *gap)
{
	size_t free = (size_t)(gap - index->slots), i = free;

	for (;;) {
		i = (i + 1) & mask_of(index);
		if (LIST_EMPTY(&index->slots[i].views))
			return;
		if (((i - home_of(index, index->slots[i].key)) & mask_of(index)) <
		    ((i - free) & mask_of(index)))
			continue;
		move(&index->slots[free], &index->slots[i]);
		free = i;
	}
}

static int grow(struct view_index *index)
{
	struct view_index larger = { .bits = index->bits + 1 };
	size_t n = (size_t)1 << index->bits;

	larger.slots = calloc(2 * n, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!LIST_EMPTY(&index->slots[i].views))
			move(find(&larger, index->slots[i].key), &index->slots[i]);
	free(index->slots);
	index->slots = larger.slots;
	index->bits = larger.bits;
	return 0;
}

static int enter(struct view_index *index, uint64_t key, struct view_entry *entry)
{
	struct slot *slot = find(index, key);

	if (LIST_EMPTY(&slot->views)) {
		if (index->n >= mask_of(index) / 2) {
			if (grow(index) < 0)
				return -ENOMEM;
			slot = find(index, key);
		}
		slot->key = key;
		index->n++;
		++*count_of(index, key);
	}
	LIST_INSERT_HEAD(&slot->views, entry, link);
	return 0;
}

static void leave(struct view_index *index, uint64_t key, struct view_entry *entry)
{
	struct slot *slot = find(index, key);

	LIST_REMOVE(entry, link);
	if (!LIST_EMPTY(&slot->views))
		return;
	index->n--;
	--*count_of(index, key);
	close_gap(index, slot);
}

static size_t put_types(uint64_t *keys, uint32_t types)
{
	size_t n = 0;

	for (uint32_t type = 0; type < _EVENT_TYPE_MAX; type++)
		if (types & EVENT_TYPE_BIT(type))
			keys[n++] = key_of(KIND_TYPE, type);
	return n;
}

static size_t put_pids(uint64_t *keys, const struct filter *filter)
{
	size_t n = 0;

	for (size_t i = 0; i < filter->n_pids; i++)
		if (i == 0 || filter->pids[i].pid != filter->pids[i - 1].pid)
			keys[n++] = key_of(KIND_PID, filter->pids[i].pid);
	return n;
}

static size_t put_uids(uint64_t *keys, const uint32_t *uids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		keys[i] = key_of(KIND_UID, uids[i]);
	return n;
}

/*
 * Each event that can match a view has one of these keys. For uids: those of the filter or that of the visibility, not only
 * those in both: if a process changes from the visible uid to one of the filter, the event has both uids.
 */
static size_t put_keys(uint64_t *keys, const struct filter *filter, struct visibility visibility)
{
	if (filter->n_pids > 0)
		return put_pids(keys, filter);
	if (!visibility.all)
		return put_uids(keys, &visibility.uid, 1);
	if (filter->n_uids > 0)
		return put_uids(keys, filter->uids, filter->n_uids);
	if (filter->types)
		return put_types(keys, filter->types);
	keys[0] = key_of(KIND_ANY, 0);
	return 1;
}

static int make_place(struct view_place *place, const struct filter *filter, struct visibility visibility)
{
	size_t most = filter->n_pids > filter->n_uids ? filter->n_pids : filter->n_uids;

	place->keys = calloc(most > _EVENT_TYPE_MAX ? most : _EVENT_TYPE_MAX, sizeof(*place->keys));
	if (!place->keys)
		return -ENOMEM;
	place->n_entries = put_keys(place->keys, filter, visibility);
	place->entries = &place->one;
	if (place->n_entries > 1)
		place->entries = calloc(place->n_entries, sizeof(*place->entries));
	if (place->entries)
		return 0;
	free(place->keys);
	*place = (struct view_place){ 0 };
	return -ENOMEM;
}

int view_index_add(struct view_index *index, struct view *view, struct view_place *place,
		   const struct filter *filter, struct visibility visibility)
{
	int r;

	*place = (struct view_place){ 0 };
	r = make_place(place, filter, visibility);
	if (r < 0)
		return r;
	for (size_t i = 0; i < place->n_entries; i++) {
		place->entries[i].view = view;
		if (enter(index, place->keys[i], &place->entries[i]) < 0) {
			place->n_entries = i;
			view_index_remove(index, place);
			return -ENOMEM;
		}
	}
	return 0;
}

void view_index_remove(struct view_index *index, struct view_place *place)
{
	for (size_t i = 0; i < place->n_entries; i++)
		leave(index, place->keys[i], &place->entries[i]);
	if (place->entries != &place->one)
		free(place->entries);
	free(place->keys);
	*place = (struct view_place){ 0 };
}

static unsigned int look_up(struct view_index *index, enum kind kind, uint32_t number,
			    struct view_entry_list **list)
{
	struct slot *slot;

	if (index->n_keys[kind] == 0)
		return 0;
	slot = find(index, key_of(kind, number));
	*list = &slot->views;
	return !LIST_EMPTY(&slot->views);
}

unsigned int view_index_find(struct view_index *index, const struct fb_event *event,
			     struct view_entry_list *lists[static VIEW_INDEX_LISTS])
{
	unsigned int n = look_up(index, KIND_ANY, 0, &lists[0]);

	n += look_up(index, KIND_TYPE, event->type, &lists[n]);
	if (EVENT_HAS(event, pid))
		n += look_up(index, KIND_PID, event->pid, &lists[n]);
	if (EVENT_HAS(event, uid))
		n += look_up(index, KIND_UID, event->uid, &lists[n]);
	if (EVENT_HAS(event, old_uid))
		n += look_up(index, KIND_UID, event->old_uid, &lists[n]);
	return n;
}
