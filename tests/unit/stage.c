// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event-json.h"
#include "log-format.h"
#include "stage.h"
#include "support.h"

void stage_open(struct stage *stage, uint64_t blocks, size_t cache, uint64_t seed, unsigned int users)
{
	struct log *log = NULL;

	assert_int_equal(log_open(&log, test_path("log"), blocks * LOG_BLOCK_SIZE, (gid_t)-1), 0);
	assert_int_equal(hub_new(&stage->hub, log, cache), 0);
	world_init(&stage->world, seed, users);
	stage->events = calloc(STAGE_EVENTS_MAX, sizeof(*stage->events));
	assert_non_null(stage->events);
}

void stage_close(struct stage *stage)
{
	uint64_t next = log_next(hub_log(stage->hub));

	for (uint64_t seq = 0; seq < next; seq++)
		free(stage->events[seq].packed);
	free(stage->events);
	world_done(&stage->world);
	assert_null(hub_free(stage->hub));
	(void)remove(test_path("log"));
}

uint64_t stage_publish(struct stage *stage, struct fb_event *event, const struct world_process *process)
{
	static unsigned char packed[EVENT_PACKED_MAX];
	struct stage_event *kept;

	hub_publish(stage->hub, event);
	assert_true(event->seq < STAGE_EVENTS_MAX);
	kept = &stage->events[event->seq];
	kept->process = process;
	kept->size = fb_event_pack(event, packed);
	kept->packed = malloc(kept->size);
	assert_non_null(kept->packed);
	memcpy(kept->packed, packed, kept->size);
	return event->seq;
}

uint64_t stage_happen(struct stage *stage)
{
	struct fb_event event;
	struct world_process *process = world_next(&stage->world, &event);

	return stage_publish(stage, &event, process);
}

void stage_run(struct stage *stage, unsigned int events, unsigned int batch)
{
	for (unsigned int i = 1; i <= events; i++) {
		stage_happen(stage);
		if (i % batch == 0)
			hub_flush(stage->hub);
	}
	hub_flush(stage->hub);
}

void stage_lap(struct stage *stage)
{
	uint64_t next = log_next(hub_log(stage->hub));

	while (log_first(hub_log(stage->hub)) <= next)
		stage_happen(stage);
	hub_flush(stage->hub);
}

void stage_event(const struct stage *stage, uint64_t seq, struct fb_event *event)
{
	assert_non_null(stage->events[seq].packed);
	assert_int_equal(fb_event_unpack(event, stage->events[seq].packed, stage->events[seq].size), 0);
}

static void on_wake(struct cursor *cursor)
{
	struct subscriber *subscriber =
		(struct subscriber *)((char *)cursor - offsetof(struct subscriber, cursor));

	subscriber->wakes++;
}

int subscribe(struct subscriber *subscriber, struct stage *stage, const char *text,
	      struct visibility visibility, struct filter_error *error)
{
	struct filter_error ignored;
	struct request request, own;
	int r;

	*subscriber = (struct subscriber){ .stage = stage, .visibility = visibility };
	r = request_parse(&request, text, strlen(text), error ? error : &ignored);
	if (r)
		return r;
	r = cursor_init(&subscriber->cursor, stage->hub, &request, visibility, NULL, &encoding_lines, on_wake,
			error ? error : &ignored);
	request_done(&request);
	if (r)
		return r;
	assert_int_equal(request_parse(&own, text, strlen(text), &ignored), 0);
	assert_int_equal(table_resolve(hub_table(stage->hub), own.filter, &ignored), 0);
	subscriber->filter = own.filter;
	if (own.filter->has_tree)
		subscriber->root =
			world_find(&stage->world, own.filter->tree.pid, own.filter->tree.start_usec);
	subscriber->begin = subscriber->next = subscriber->cursor.next;
	return 0;
}

void unsubscribe(struct subscriber *subscriber)
{
	cursor_done(&subscriber->cursor);
	filter_free(subscriber->filter);
	free(subscriber->got);
	*subscriber = (struct subscriber){ 0 };
}

static void keep(struct subscriber *subscriber, const char *data, size_t size)
{
	if (subscriber->size + size > subscriber->room) {
		subscriber->room = 2 * (subscriber->size + size);
		subscriber->got = realloc(subscriber->got, subscriber->room);
		assert_non_null(subscriber->got);
	}
	memcpy(subscriber->got + subscriber->size, data, size);
	subscriber->size += size;
}

bool subscriber_read(struct subscriber *subscriber, size_t piece, size_t limit)
{
	struct random *random = &subscriber->stage->world.random;
	struct cursor *cursor = &subscriber->cursor;
	const char *data = NULL;
	unsigned int turns = 0;

	for (;;) {
		ssize_t n = cursor_peek(cursor, &data);
		size_t taken;

		if (n == 0)
			return true;
		if (n == -EAGAIN) {
			/* Check that it ends. */
			assert_true(++turns < 100000);
			continue;
		}
		assert_true(n > 0);
		taken = (size_t)n;
		if (taken > piece)
			taken = 1 + random_below(random, piece);
		if (taken > limit)
			taken = limit;
		keep(subscriber, data, taken);
		limit -= taken;
		if (taken > 0)
			assert_int_equal(cursor_sent(cursor, taken), 0);
		if (limit == 0) {
			cursor_block(cursor);
			return false;
		}
	}
}

field_set subscriber_fields(const struct subscriber *subscriber, uint64_t seq)
{
	const struct stage *stage = subscriber->stage;
	struct fb_event event;
	field_set fields;

	stage_event(stage, seq, &event);
	fields = access_fields(subscriber->visibility, &event);
	if (EVENT_TYPES_ALWAYS & EVENT_TYPE_BIT(event.type))
		return fields;
	if (subscriber->root && !world_descends(stage->events[seq].process, subscriber->root))
		return 0;
	event.has &= fields;
	return filter_match(subscriber->filter, &event) ? fields : 0;
}

/* No event that it should have received is between the last one that it received and this. */
static void pass(struct subscriber *subscriber, uint64_t next)
{
	for (; subscriber->next < next; subscriber->next++)
		assert_false(subscriber_fields(subscriber, subscriber->next));
	assert_int_equal(subscriber->next, next);
}

static void check_lost(struct subscriber *subscriber, const struct fb_event *event)
{
	subscriber->n_lost++;
	subscriber->lost_from = EVENT_HAS(event, from) ? event->from : 0;
	subscriber->lost_to = EVENT_HAS(event, to) ? event->to : 0;
	subscriber->lost_count = EVENT_HAS(event, count) ? event->count : 0;
	subscriber->lost_since = EVENT_HAS(event, since_usec) ? event->since_usec : 0;
	subscriber->lost_until = EVENT_HAS(event, until_usec) ? event->until_usec : 0;
	snprintf(subscriber->lost_reason, sizeof(subscriber->lost_reason), "%.*s", (int)event->reason.len,
		 event->reason.data);
	if (!subscriber->lost_from)
		return;
	assert_int_equal(subscriber->lost_count, event->to - event->from + 1);
	/* A subscriber from another epoch may have missed all events from the first on. */
	if (strcmp(subscriber->lost_reason, "epoch") != 0)
		pass(subscriber, event->from);
	subscriber->next = event->to + 1;
}

static void check_reported(struct subscriber *subscriber, const struct fb_event *event)
{
	char text[CURSOR_TEXT_MAX];
	uint64_t epoch, seq;

	snprintf(text, sizeof(text), "%.*s", (int)event->cursor.len, event->cursor.data);
	assert_int_equal(cursor_parse(text, &epoch, &seq), 0);
	assert_true(epoch == log_epoch(hub_log(subscriber->stage->hub)));
	if (event->type == EVENT_READY) {
		assert_false(subscriber->is_ready);
		assert_int_equal(seq, subscriber->begin - 1);
		subscriber->is_ready = true;
	} else {
		subscriber->n_heartbeats++;
		subscriber->reported = seq;
		pass(subscriber, seq + 1);
	}
}

static void check_line(struct subscriber *subscriber, const char *line, size_t size)
{
	static char expected[EVENT_JSON_MAX];
	static struct event_store store;
	struct fb_event event;
	field_set fields;

	assert_int_equal(event_json_decode(&event, &store, line, size), 0);
	if (event.type == EVENT_PROCESS) {
		assert_false(subscriber->is_ready);
		assert_false(EVENT_HAS(&event, seq));
		subscriber->n_processes++;
	} else if (event.type == EVENT_READY || event.type == EVENT_HEARTBEAT) {
		check_reported(subscriber, &event);
	} else if (!EVENT_HAS(&event, seq)) {
		assert_true(subscriber->is_ready);
		assert_int_equal(event.type, EVENT_LOST);
		check_lost(subscriber, &event);
	} else {
		assert_true(subscriber->is_ready);
		pass(subscriber, event.seq);
		fields = subscriber_fields(subscriber, event.seq);
		assert_true(fields != 0);
		stage_event(subscriber->stage, event.seq, &event);
		assert_int_equal(event_json_encode(&event, fields, expected), size);
		assert_memory_equal(line, expected, size);
		subscriber->next = event.seq + 1;
		subscriber->n_events++;
	}
}

void subscriber_check(struct subscriber *subscriber)
{
	while (subscriber->checked < subscriber->size) {
		const char *line = subscriber->got + subscriber->checked;
		const char *end = memchr(line, '\n', subscriber->size - subscriber->checked);

		assert_non_null(end);
		check_line(subscriber, line, (size_t)(end - line));
		subscriber->checked += (size_t)(end - line) + 1;
	}
	assert_true(subscriber->is_ready);
	pass(subscriber, log_next(hub_log(subscriber->stage->hub)));
}

const char *random_filter(struct random *random)
{
	static const char *const keys[] = {
		"\"types\":[\"exit\"]",
		"\"types\":[\"fork\",\"exec\"]",
		"\"types\":[\"id\",\"comm\"]",
		"\"types\":[\"coredump\"]",
		"\"uids\":[1001]",
		"\"uids\":[0,1000,1002]",
		"\"uids\":[77777]",
		"\"comm\":\"m*\"",
		"\"comm\":[\"sh\",\"c[a-c]*\"]",
		"\"exe\":\"/usr/*\"",
		"\"cgroup\":\"/user.slice/*\"",
		"\"status\":\"failure\"",
		"\"status\":[\"success\",\"signal\"]",
		"\"minElapsedUsec\":100000",
		"\"threads\":true",
		"\"pids\":[{\"pid\":5,\"startUsec\":1080000},{\"pid\":200,\"startUsec\":1}]",
	};
	static char text[512];
	size_t at = 0, n = random_below(random, 4);
	uint32_t used = 0;

	text[0] = '\0';
	while (n-- > 0) {
		size_t key = random_below(random, sizeof(keys) / sizeof(keys[0]));
		size_t len = strcspn(keys[key], ":");
		bool has = false;

		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			has = has || ((used >> i & 1) && strncmp(keys[i], keys[key], len + 1) == 0);
		if (has)
			continue;
		used |= UINT32_C(1) << key;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? "," : "", keys[key]);
	}
	return text;
}
