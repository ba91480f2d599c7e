/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A view is a filter, the rights of its subscribers, and an encoding. Events that match are encoded once for all of them.
 *
 * New events are offered to the views that they can match (view-index.h), matched once per view, and encoded if a reader of
 * the view can send them. Readers that are behind read the log through the view, a slice at a time. Both ways use the same
 * chunks (chunk.h).
 */

#include <sys/queue.h>

#include "access.h"
#include "chunk.h"
#include "filter.h"
#include "label.h"
#include "log.h"
#include "view-index.h"

struct view_reader;
struct views;

/* The bit of views_wanted() for events of threads, which do not have a separate type. */
#define VIEW_THREADS EVENT_TYPE_BIT(EVENT_NONE)

LIST_HEAD(view_reader_list, view_reader);

/* The part of a subscriber that its view knows. Zeroed while it reads no view. */
struct view_reader {
	struct view *view;			  /* a reference of its own */
	void (*wake)(struct view_reader *reader); /* there may be something to read; the reader may leave */
	bool live;				  /* it has received all matching events, and can take more */
	uint64_t caught_up; /* the last matching event when it had received all; UINT64_MAX: it never had */
	LIST_ENTRY(view_reader) link;
};

struct view {
	struct views *views;
	char *key; /* encoding, visibility and the filter's normal form: equal keys are one view */
	struct filter *filter;
	struct visibility visibility;
	const struct encoding *encoding;
	struct label *label; /* a reference of its own: that of the filter's tree; NULL: it has none */
	bool is_dear;	     /* to match: only its readers do that */
	bool is_behind;	     /* an event was left to its readers, none of which has received all since */
	unsigned int references;

	uint64_t since; /* every event from here on was offered to it */
	uint64_t last;	/* and the last one that matched */
	/* Two matching events, with none between: the last one before a flush, and the first one after it. */
	uint64_t quiet_after, quiet_until;
	struct chunk_list chunks;
	struct chunk *
		open; /* where the last published event is, if the chunk still belongs to the view: see find_open() */
	struct view_reader_list readers;
	unsigned int n_readers;
	unsigned int n_live;	  /* of them: are live */
	unsigned int n_caught_up; /* of them: have received all matching events until now */

	struct view_place place; /* in the index, or among the views of its label */
	bool dirty;		 /* an event has matched since the last flush */
	LIST_ENTRY(view) dirty_link;
	UT_hash_handle hh;
};

struct views_stats {
	uint64_t encoded; /* events encoded, and into how many bytes */
	uint64_t encoded_bytes;
	unsigned int views;
};

int views_new(struct views **ret, const struct log *log, struct labels *labels, size_t cache_size);
/* All views must be gone. NULL is fine. Return: NULL. */
struct views *views_free(struct views *views);
const struct views_stats *views_stats(const struct views *views);

/* Types that the filter of some view that sees all names, and VIEW_THREADS if such a filter asks for threads. */
uint32_t views_wanted(const struct views *views);

/*
 * view_get() - the view of a filter, a visibility and an encoding: an existing or a new one
 * @filter: its pids resolved; becomes the view's own on success (freed at once where an equal view exists)
 * @label: of the filter's tree, NULL if it has none; a reference that becomes the view's own on success
 * Return: 0 or -ENOMEM.
 */
int view_get(struct view **ret, struct views *views, struct filter *filter, struct visibility visibility,
	     const struct encoding *encoding, struct label *label);
/* One reference less. NULL is fine. Return: NULL. */
struct view *view_put(struct view *view);

/* views_dispatch() - offer an event that was just appended to the log */
void views_dispatch(struct views *views, const struct fb_event *event);

/* views_flush() - wake the readers of views with new events since the last flush */
void views_flush(struct views *views);

/* view_join() - @reader takes over the caller's reference; its wake is set */
void view_join(struct view *view, struct view_reader *reader);
/* view_leave() - and give the reference back */
void view_leave(struct view_reader *reader);

/* view_set_live() - while some reader of a view is live, events are encoded as they are published */
void view_set_live(struct view_reader *reader, bool live);

/* view_set_caught_up() - a reader has received all matching events. When all have, nothing is kept for them. */
void view_set_caught_up(struct view_reader *reader);

/* view_match() - the fields of a record of the log that this view shows; 0: none of it */
field_set view_match(const struct view *view, const struct fb_event *event);

/* view_match_process() - the same of a process event. @line: of the process. */
field_set view_match_process(const struct view *view, const struct fb_event *event, struct line *line);

/* Lines of a view: between two sequence numbers, as many as one call found. */
struct view_lines {
	const char *data; /* @size bytes, complete lines; may be none */
	size_t size;
	uint64_t next; /* where to continue: all events before are in here, or did not match */
	const struct chunk *chunk;
	unsigned int line; /* the first one of the chunk that is included */
};

/*
 * view_read() - encoded lines from @seq on, which the log still holds
 * Reads a bounded number of records. Valid until another function here is called, except for view_read(), views_kept() times.
 */
void view_read(struct view *view, uint64_t seq, struct view_lines *lines);

/* views_kept() - after how many more calls of view_read() the result of one is still valid; at least 3 */
unsigned int views_kept(const struct views *views);

/*
 * view_lines_taken() - where the first @size bytes end
 * @rest, @rest_size: set to the unsent rest of a line that was begun
 * Return: the sequence number to continue with; a line that was begun counts as taken.
 */
uint64_t view_lines_taken(const struct view_lines *lines, size_t size, const char **rest, size_t *rest_size);

/* views_begin() - a label has begun: its views are offered all events from there on */
void views_begin(const struct label *label);

/*
 * view_next() - the first number from @seq on that may have matched; UINT64_MAX if none has
 * A reader that was up to date, however long ago, does not have to read the events since then that did not match, and loses
 * nothing if the log has overwritten them.
 */
static inline uint64_t view_next(const struct view *view, uint64_t seq)
{
	if (seq < view->since)
		return seq;
	if (seq > view->last)
		return UINT64_MAX;
	return seq > view->quiet_after && seq < view->quiet_until ? view->quiet_until : seq;
}

/* view_pass_over() - no event in [@from, @to) matches: readers can use one chunk for what is before and after them */
void view_pass_over(struct view *view, uint64_t from, uint64_t to);
