// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading through a view: what its chunks have, and what the log has beside them. */
#include "core/slice.h"
#include "core/view-parts.h"

/* The users whose events can match a view, as a mask of log_uid_bit(). */
static uint64_t wanted_uids(const struct view *view)
{
	const struct filter *filter = view->filter;
	uint64_t uids = 0;

	if (view->visibility.all && filter->n_uids == 0)
		return UINT64_MAX;
	if (!view->visibility.all)
		return log_uid_bit(view->visibility.uid);
	for (size_t i = 0; i < filter->n_uids; i++)
		uids |= log_uid_bit(filter->uids[i]);
	return uids;
}

/* Encode events of the log from the end of a chunk on, until @limit, for at most one slice. */
static void fill(struct view *view, struct chunk *chunk, uint64_t limit)
{
	const struct log *log = view->views->log;
	uint64_t uids = wanted_uids(view);
	uint32_t types = view->filter->types ? view->filter->types : UINT32_MAX;
	struct slice slice = slice_begin(SLICE_NSEC);
	unsigned int weight = view->is_dear ? SLICE_DEAR : SLICE_CHEAP;
	struct log_place place;
	struct fb_event event;
	field_set fields;

	if (log_seek(log, chunk->next, &place) != 0)
		return;
	while (place.seq < limit && !chunk_is_full(chunk) && !slice_is_over(&slice, weight)) {
		if (log_skip(log, &place, types, uids))
			continue;
		if (log_read(log, &place, &event) != 0)
			break;
		fields = view_match(view, &event);
		if (fields)
			view_encode(view, chunk, &event, fields);
	}
	chunk->next = place.seq < limit ? place.seq : limit;
}

void view_pass_over(struct view *view, uint64_t from, uint64_t to)
{
	struct chunk *chunk = chunk_find(&view->chunks, from);
	uint64_t limit;

	if (!chunk || chunk->open || chunk->next != from)
		return;
	limit = chunk_limit(&view->chunks, from);
	chunk->next = to < limit ? to : limit;
}

void view_read(struct view *view, uint64_t seq, struct view_lines *lines)
{
	struct chunk_pool *pool = view->views->pool;
	uint64_t end = log_next(view->views->log);
	struct chunk *chunk = view_find_open(view);

	/* Usually these are the events that were just published. */
	if (!chunk || chunk->first > seq)
		chunk = chunk_find(&view->chunks, seq);
	if (!chunk)
		chunk = chunk_take(pool, &view->chunks, seq);
	if (!chunk->open && chunk->next <= seq) {
		uint64_t limit = chunk_limit(&view->chunks, seq);

		fill(view, chunk, limit < end ? limit : end);
	}
	chunk_use(pool, chunk);

	lines->chunk = chunk;
	lines->line = chunk_line_from(chunk, seq);
	lines->data = chunk->data + (lines->line ? chunk->lines[lines->line - 1].end : 0);
	lines->size = chunk_size(chunk) - (size_t)(lines->data - chunk->data);
	lines->next = chunk->open ? end : chunk->next;
	if (chunk->n_lines == 0)
		chunk_drop(pool, chunk);
}

/* Each call uses one chunk, and takes the least recently used one. */
unsigned int views_kept(const struct views *views)
{
	return chunk_pool_size(views->pool) - 1;
}

uint64_t view_lines_taken(const struct view_lines *lines, size_t size, const char **rest, size_t *rest_size)
{
	const struct chunk *chunk = lines->chunk;
	size_t taken = (size_t)(lines->data - chunk->data) + size;
	unsigned int line = lines->line;

	*rest_size = 0;
	if (size >= lines->size)
		return lines->next;
	while (line < chunk->n_lines && chunk->lines[line].end <= taken)
		line++;
	*rest = chunk->data + taken;
	if (taken > (line ? chunk->lines[line - 1].end : 0)) {
		*rest_size = chunk->lines[line].end - taken;
		line++;
	}
	return line < chunk->n_lines ? chunk->lines[line].seq : lines->next;
}
