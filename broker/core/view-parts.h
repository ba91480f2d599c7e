/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What view.c, which offers new events to the views, and view-read.c, which reads what is in the log, share. */

#include "core/view.h"

struct views {
	const struct log *log;
	struct labels *labels;
	struct chunk_pool *pool;
	struct view_index *index;
	struct view *by_key;
	unsigned int n_wanting[_EVENT_TYPE_MAX]; /* views that name a type; EVENT_NONE: threads */
	LIST_HEAD(, view) dirty;
	unsigned int offers;	     /* since the last flush: see OFFERS_MAX */
	unsigned int pattern_offers; /* of them: to views with patterns */
	struct views_stats stats;
};

static inline void view_encode(struct view *view, struct chunk *chunk, const struct fb_event *event,
			       field_set fields)
{
	size_t before = chunk_size(chunk);

	chunk_add(chunk, view->encoding, event->seq, event, fields);
	view->views->stats.encoded++;
	view->views->stats.encoded_bytes += chunk_size(chunk) - before;
}

/* The chunk of the newest events; NULL if there is none. Another view may own it now; then it stays there. */
static inline struct chunk *view_find_open(const struct view *view)
{
	struct chunk *chunk = view->open;

	return chunk && chunk->owner == &view->chunks && chunk->open ? chunk : NULL;
}
