/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A view is a filter, what its subscribers may see, and the encoding of what passes both, made once for all
 * of them.
 *
 * While events arrive they are offered to the views that can want them (view-index.h), matched once a view,
 * and encoded if somebody of the view is there to take them. Those who are behind read the log through the
 * view, a slice at a time. Both ways end in the same chunks (chunk.h).
 */

#include <sys/queue.h>

#include "access.h"
#include "chunk.h"
#include "filter.h"
#include "log.h"
#include "tree.h"
#include "view-index.h"

struct cursor;
struct views;

LIST_HEAD(cursor_list, cursor);

struct view {
	struct views *views;
	char *key; /* encoding, visibility and the filter's normal form: equal keys are one view */
	struct filter *filter;
	struct visibility visibility;
	const struct encoding *encoding;
	struct tree *tree; /* of a filter that has one; such a view has one cursor */
	bool tree_told;	   /* its cursor has come to the log's end once, so all its members are known */
	unsigned int references;

	uint64_t since; /* it has been offered every event from here on */
	uint64_t last;	/* and the last one that passed */
	/* Two that passed, with nothing between: the last one before a flush, and the first one after it. */
	uint64_t quiet_after, quiet_until;
	struct chunk_list chunks;
	struct chunk
		*open; /* what was published last went there, if it still is the view's: see find_open() */
	struct cursor_list cursors;
	unsigned int n_cursors;
	unsigned int n_live; /* of them: had all that passed once, and can take more */
	unsigned int n_told; /* of them: have all that passed until now */

	struct view_place place; /* in the index */
	bool dirty;		 /* something passed since the last flush */
	LIST_ENTRY(view) dirty_link;
	UT_hash_handle hh;
};

struct views_stats {
	uint64_t encoded; /* events encoded, and into how many bytes */
	uint64_t encoded_bytes;
	unsigned int views;
};

int views_new(struct views **ret, const struct log *log, size_t cache_size);
/* All views must be gone. NULL is fine. Return: NULL. */
struct views *views_free(struct views *views);
const struct views_stats *views_stats(const struct views *views);

/* Types, and HUB_ARMED_THREADS, that some view wants beyond the others' reach. */
uint32_t views_wanted(const struct views *views);

/*
 * view_get() - the view of a filter, a visibility and an encoding: one that is there already, or a new one
 * @filter: its pids resolved; becomes the view's own on success (freed at once where an equal view exists)
 * @table: to find the descendants that live, for a filter with a tree
 * Return: 0 or -ENOMEM.
 */
int view_get(struct view **ret, struct views *views, struct filter *filter, struct visibility visibility,
	     const struct encoding *encoding, const struct table *table);
/* One reference less. NULL is fine. Return: NULL. */
struct view *view_put(struct view *view);

/* views_dispatch() - offer an event that was just appended to the log */
void views_dispatch(struct views *views, const struct fb_event *event);

/* views_flush() - wake the cursors of views that got something since the last flush */
void views_flush(struct views *views);

/* view_told() - one more of its cursors has all that passed. Once all have, nothing is kept for them. */
void view_told(struct view *view);

/* view_match() - the fields of an event that this view shows; 0: none of it */
uint64_t view_match(const struct view *view, const struct fb_event *event);

/* Lines of a view: from a sequence number up to another, as far as one call looked. */
struct view_lines {
	const char *data; /* @size bytes, whole lines; may be none */
	size_t size;
	uint64_t next; /* where to go on: all before is in here, or did not pass */
	const struct chunk *chunk;
	unsigned int line; /* the first one of the chunk that is here */
};

/*
 * view_read() - encoded lines from @seq on, which the log still holds
 * Looks at a bounded number of records. Valid while nothing else here is called but view_read() itself, views_kept() times.
 */
void view_read(struct view *view, uint64_t seq, struct view_lines *lines);

/* views_kept() - after how many more calls of view_read() what one has shown still is where it was; at least 3 */
unsigned int views_kept(const struct views *views);

/*
 * view_lines_taken() - where the first @size bytes end
 * @rest, @rest_size: set to what is missing of a line that was begun
 * Return: the sequence number to go on with; a line that was begun counts as taken.
 */
uint64_t view_lines_taken(const struct view_lines *lines, size_t size, const char **rest, size_t *rest_size);

/*
 * view_rebuild() - for a view with a tree: take in who was forked by members, and who ended, from @from on, before @until
 * Looks at a bounded number of records and moves @from on. Return: whether it has come to @until.
 */
bool view_rebuild(struct view *view, uint64_t *from, uint64_t until);

/*
 * view_next() - the first number from @seq on that may have passed; UINT64_MAX if none has
 * So whoever was up to date, however long ago, need not look at what was not for this view since then, nor miss it where
 * the log has forgotten it.
 */
static inline uint64_t view_next(const struct view *view, uint64_t seq)
{
	if (seq < view->since)
		return seq;
	if (seq > view->last)
		return UINT64_MAX;
	return seq > view->quiet_after && seq < view->quiet_until ? view->quiet_until : seq;
}
