// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "core/cursor.h"
#include "core/slice.h"

/* A snapshot is sent in pieces of about this many bytes, or of what one slice finds. */
#define SNAPSHOT_PIECE (32 * 1024)

/* What the label of a tree is counted as, in bytes: with its mark, and the numbers that records have of it. */
#define LABEL_SIZE 512

/* A buffer in which own lines are made before they are copied; the broker has one thread. */
static char scratch[SNAPSHOT_PIECE + ENCODED_MAX];

static void on_wake(struct view_reader *reader)
{
	struct cursor *cursor = (struct cursor *)((char *)reader - offsetof(struct cursor, reader));

	cursor->wake(cursor);
}

/*
 * No cursor goes beyond the head in the file: if the broker were killed, the next one would use these numbers again. A flush
 * writes the head, but some events are published without a flush (hub_ops.armed).
 */
static uint64_t shown_end(struct hub *hub)
{
	log_show(hub_log(hub));
	return log_next(hub_log(hub));
}

static int set_own(struct cursor *cursor, const char *data, size_t size)
{
	if (budget_take(cursor->account, BUDGET_CACHED_BYTES, size) != 0)
		return -EDQUOT;
	cursor->own = malloc(size);
	if (!cursor->own) {
		budget_give(cursor->account, BUDGET_CACHED_BYTES, size);
		return -ENOMEM;
	}
	memcpy(cursor->own, data, size);
	cursor->own_at = 0;
	cursor->own_end = size;
	return 0;
}

static void drop_own(struct cursor *cursor)
{
	if (!cursor->own)
		return;
	budget_give(cursor->account, BUDGET_CACHED_BYTES, cursor->own_end);
	free(cursor->own);
	cursor->own = NULL;
}

static int set_own_event(struct cursor *cursor, struct fb_event *event)
{
	EVENT_SET(event, time_usec, clock_usec(CLOCK_REALTIME));
	return set_own(cursor, scratch, cursor->reader.view->encoding->put(event, FIELDS_ALL, scratch));
}

char *cursor_position(const struct cursor *cursor, char buf[static CURSOR_TEXT_MAX])
{
	return cursor_print(buf, log_epoch(hub_log(cursor->hub)), cursor->next - 1);
}

char *cursor_position_after(const struct cursor *cursor, size_t size, char buf[static CURSOR_TEXT_MAX])
{
	uint64_t next = cursor->next;
	const char *rest;
	size_t rest_size;

	if (!cursor->own)
		next = view_lines_taken(&cursor->lines, size, &rest, &rest_size);
	return cursor_print(buf, log_epoch(hub_log(cursor->hub)), next - 1);
}

static int set_own_position(struct cursor *cursor, enum event_type type)
{
	char text[CURSOR_TEXT_MAX];
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, cursor,
		  event_text(cursor_print(text, log_epoch(hub_log(cursor->hub)), cursor->next - 1)));
	return set_own_event(cursor, &event);
}

/*
 * Report that [from, to] of the log can no longer be read; with @to before @from, that an unknown number of events is
 * missing.
 */
static int set_own_lost(struct cursor *cursor, const char *reason, uint64_t from, uint64_t to)
{
	struct fb_event event;

	fb_event_init(&event, EVENT_LOST);
	EVENT_SET(&event, reason, event_text(reason));
	hub_note_slow(cursor->hub, from <= to ? to - from + 1 : HUB_COUNT_UNKNOWN);
	if (from <= to) {
		EVENT_SET(&event, from, from);
		EVENT_SET(&event, to, to);
		EVENT_SET(&event, count, to - from + 1);
	}
	if (cursor->gap_since_usec) {
		EVENT_SET(&event, since_usec, cursor->gap_since_usec);
		EVENT_SET(&event, until_usec, log_first_time(hub_log(cursor->hub)));
	}
	cursor->gap_reason = NULL;
	cursor->gap_since_usec = 0;
	return set_own_event(cursor, &event);
}

static int start_at_cursor(struct cursor *cursor, const struct request *request, struct filter_error *error)
{
	const struct log *log = hub_log(cursor->hub);

	if (request->epoch != log_epoch(log)) {
		/* The subscriber's cursor belongs to another log, and the events after it are no longer available. */
		cursor->gap_reason = "epoch";
		cursor->next = log_first(log);
		return 0;
	}
	if (request->seq >= log_next(log)) {
		snprintf(error->key, sizeof(error->key), "since");
		snprintf(error->detail, sizeof(error->detail),
			 "the cursor is from the future: the newest event has the number %llu",
			 (unsigned long long)log_next(log) - 1);
		return FILTER_E_INVALID;
	}
	cursor->next = request->seq + 1;
	if (cursor->next < log_first(log))
		cursor->gap_reason = "expired";
	return 0;
}

static void start_at_time(struct cursor *cursor, uint64_t ago_usec)
{
	const struct log *log = hub_log(cursor->hub);
	uint64_t now = clock_usec(CLOCK_REALTIME);
	uint64_t since = ago_usec < now ? now - ago_usec : 0;

	cursor->next = log_seek_time(log, since);
	/* Does the log begin later only because older events were overwritten? */
	if (cursor->next == log_first(log) && cursor->next > 1 && log_first_time(log) > since) {
		cursor->gap_reason = "expired";
		cursor->gap_since_usec = since;
	}
}

/* Return: 0, or FILTER_E_INVALID with @error set. */
static int take_one(struct cursor *cursor, enum budget_resource resource, uint64_t n,
		    struct filter_error *error)
{
	int r = budget_take(cursor->account, resource, n);
	char text[BUDGET_TEXT_MAX];

	if (r == 0)
		return 0;
	return filter_refuse(error, budget_name(resource), "%s",
			     budget_refusal(text, cursor->account, resource, r));
}

static int take_budget(struct cursor *cursor, const struct filter *filter, struct filter_error *error)
{
	int r = take_one(cursor, BUDGET_SUBSCRIPTIONS, 1, error);

	if (r)
		return r;
	cursor->filter_size = filter_size(filter);
	cursor->label_size = filter->has_tree ? LABEL_SIZE : 0;
	r = take_one(cursor, BUDGET_FILTER_BYTES, cursor->filter_size, error);
	if (r == 0) {
		r = take_one(cursor, BUDGET_LABELS, cursor->label_size, error);
		if (r)
			budget_give(cursor->account, BUDGET_FILTER_BYTES, cursor->filter_size);
	}
	if (r)
		budget_give(cursor->account, BUDGET_SUBSCRIPTIONS, 1);
	return r;
}

static void give_budget(struct cursor *cursor)
{
	budget_give(cursor->account, BUDGET_SUBSCRIPTIONS, 1);
	budget_give(cursor->account, BUDGET_FILTER_BYTES, cursor->filter_size);
	budget_give(cursor->account, BUDGET_LABELS, cursor->label_size);
}

static int join_view(struct cursor *cursor, struct request *request, struct visibility visibility,
		     const struct encoding *encoding)
{
	struct hub *hub = cursor->hub;
	struct label *label = NULL;
	struct view *view;
	int r = 0;

	if (request->filter->has_tree)
		r = hub_get_label(hub, &label, request->filter->tree);
	if (r == 0 && label && cursor->next < label->since)
		r = past_get(label, hub_log(hub), &cursor->past, cursor->account);
	if (r == 0)
		r = view_get(&view, hub_views(hub), request->filter, visibility, encoding, label);
	if (r < 0) {
		past_put(&cursor->past);
		label_put(hub_labels(hub), label);
		return r;
	}
	request->filter = NULL;
	view_join(view, &cursor->reader);
	cursor->phase = CURSOR_REBUILD;
	hub_rearm(hub);
	return 0;
}

int cursor_init(struct cursor *cursor, struct hub *hub, struct request *request, struct visibility visibility,
		struct budget_account *account, const struct encoding *encoding,
		void (*wake)(struct cursor *cursor), struct filter_error *error)
{
	int r;

	*cursor = (struct cursor){ .hub = hub,
				   .account = account,
				   .wake = wake,
				   .snapshot = request->snapshot,
				   .reader.wake = on_wake };
	cursor->next = cursor->position = shown_end(hub);
	r = table_resolve(hub_table(hub), request->filter, error);
	if (r == 0 && request->since == REQUEST_SINCE_CURSOR)
		r = start_at_cursor(cursor, request, error);
	else if (r == 0 && request->since == REQUEST_SINCE_TIME)
		start_at_time(cursor, request->ago_usec);
	if (r == 0)
		r = take_budget(cursor, request->filter, error);
	if (r)
		return r;
	r = join_view(cursor, request, visibility, encoding);
	if (r)
		give_budget(cursor);
	return r;
}

void cursor_done(struct cursor *cursor)
{
	if (!cursor->reader.view)
		return;
	past_put(&cursor->past);
	view_leave(&cursor->reader);
	drop_own(cursor);
	give_budget(cursor);
	hub_rearm(cursor->hub);
}

/*
 * One piece of the snapshot. If a process was started or ended since the position was taken, its fork or exit is in the log
 * after that position.
 */
static int fill_snapshot(struct cursor *cursor)
{
	unsigned int weight = cursor->reader.view->is_dear ? SLICE_DEAR : SLICE_CHEAP;
	struct slice slice = slice_begin(SLICE_NSEC);
	const struct process *process = NULL;
	struct fb_event event;
	bool ended = false;
	field_set fields;
	size_t size = 0;

	while (size < SNAPSHOT_PIECE && !slice_is_over(&slice, weight)) {
		process = table_walk(hub_table(cursor->hub), &cursor->slot);
		ended = !process;
		if (ended)
			break;
		if (process->born >= cursor->position)
			continue;
		table_describe(hub_table(cursor->hub), process, &event);
		fields = view_match_process(cursor->reader.view, &event, process->line);
		if (fields == 0)
			continue;
		size += cursor->reader.view->encoding->put(&event, fields, scratch + size);
	}
	if (ended)
		cursor->phase = CURSOR_READY;
	return size ? set_own(cursor, scratch, size) : 0;
}

static ssize_t peek_stream(struct cursor *cursor, const char **data)
{
	uint64_t end = shown_end(cursor->hub);

	if (cursor->next < end) {
		view_read(cursor->reader.view, cursor->next, &cursor->lines);
		*data = cursor->lines.data;
		if (cursor->lines.size > 0)
			return (ssize_t)cursor->lines.size;
		cursor->next = cursor->lines.next;
		if (cursor->next < end)
			return -EAGAIN;
	}
	cursor->next = end;
	view_set_live(&cursor->reader, true);
	view_set_caught_up(&cursor->reader);
	return 0;
}

/* Events that did not pass are neither read nor lost. */
static void pass_over_quiet(struct cursor *cursor)
{
	uint64_t next = view_next(cursor->reader.view, cursor->next);
	uint64_t end = shown_end(cursor->hub);

	if (next > end)
		next = end;
	if (next > cursor->next)
		view_pass_over(cursor->reader.view, cursor->next, next);
	cursor->next = next;
}

/* Find the past of the tree, a slice of it. Return: as past_read(). */
static int rebuild(struct cursor *cursor)
{
	int r = past_read(&cursor->past, hub_labels(cursor->hub), hub_log(cursor->hub),
			  hub_table(cursor->hub));

	if (r == 0)
		views_begin(cursor->past.label);
	return r;
}

/* The past of the tree is needed as far as it is known, and until everything from before its label is read. */
static int use_past(struct cursor *cursor)
{
	const struct label *label = cursor->past.label;
	uint64_t from = cursor->next;

	if (!label)
		return 0;
	if (from >= label->since) {
		past_put(&cursor->past);
		return 0;
	}
	if (!past_is_lost(label->past))
		return 0;
	cursor->next = label->since;
	return set_own_lost(cursor, "expired", from, cursor->next - 1);
}

/* Make the next own lines, if they are due. Return: 0, or -EAGAIN for another turn, or -ENOMEM. */
static int fill_own(struct cursor *cursor)
{
	const struct log *log = hub_log(cursor->hub);
	uint64_t first = log_first(log);
	uint64_t from;

	switch (cursor->phase) {
	case CURSOR_REBUILD:
		if (cursor->past.label) {
			int r = rebuild(cursor);

			if (r < 0)
				return r;
		}
		cursor->phase = cursor->snapshot ? CURSOR_SNAPSHOT : CURSOR_READY;
		return -EAGAIN;
	case CURSOR_SNAPSHOT:
		return fill_snapshot(cursor);
	case CURSOR_READY:
		cursor->phase = CURSOR_STREAM;
		return set_own_position(cursor, EVENT_READY);
	case CURSOR_STREAM:
		break;
	}
	if (!cursor->gap_reason)
		pass_over_quiet(cursor);
	from = cursor->gap_reason && strcmp(cursor->gap_reason, "epoch") == 0 ? 1 : cursor->next;
	if (from < first) {
		cursor->next = first;
		return set_own_lost(cursor, cursor->gap_reason ? cursor->gap_reason : "slow", from,
				    first - 1);
	}
	if (cursor->gap_reason)
		return set_own_lost(cursor, cursor->gap_reason, 1, 0);
	return use_past(cursor);
}

ssize_t cursor_peek(struct cursor *cursor, const char **data)
{
	int r = 0;

	if (!cursor->own)
		r = fill_own(cursor);
	if (r < 0)
		return r;
	if (cursor->own) {
		*data = cursor->own + cursor->own_at;
		return (ssize_t)(cursor->own_end - cursor->own_at);
	}
	return cursor->phase == CURSOR_STREAM ? peek_stream(cursor, data) : -EAGAIN;
}

int cursor_sent(struct cursor *cursor, size_t size)
{
	const char *rest;
	size_t rest_size;

	if (cursor->own) {
		cursor->own_at += size;
		if (cursor->own_at == cursor->own_end)
			drop_own(cursor);
		return 0;
	}
	cursor->next = view_lines_taken(&cursor->lines, size, &rest, &rest_size);
	return rest_size ? set_own(cursor, rest, rest_size) : 0;
}

void cursor_block(struct cursor *cursor)
{
	view_set_live(&cursor->reader, false);
}

bool cursor_is_idle(struct cursor *cursor)
{
	if (cursor->own || !cursor->reader.live)
		return false;
	pass_over_quiet(cursor);
	return cursor->next == shown_end(cursor->hub);
}

int cursor_heartbeat(struct cursor *cursor)
{
	return cursor_is_idle(cursor) ? set_own_position(cursor, EVENT_HEARTBEAT) : 0;
}
