// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "log-format.h"
#include "tests/unit/stage-test.h"

static struct subscriber one, two;

/* A log of four blocks and the smallest cache */
static struct stage_size small = { LOG_BLOCKS_MIN, 0, 1 };
static struct stage_size large = { 64, 16 << 20, 2 };

static void begin(struct subscriber *subscriber, const char *request)
{
	assert_int_equal(subscribe(subscriber, &stage, request, SEE_ALL, NULL), 0);
}

static uint64_t log_end(void)
{
	return log_next(hub_log(stage.hub));
}

/* All events, once and in order, at the time when they happen */
static void test_live(void **state)
{
	(void)state;
	stage_run(&stage, 100, 10);
	begin(&one, "{\"threads\":true}");
	assert_int_equal(one.begin, log_end());
	for (int i = 0; i < 300; i++) {
		subscriber_read_all(&one);
		subscriber_check(&one);
		assert_true(one.cursor.reader.live);
		one.wakes = 0;
		stage_run(&stage, 1 + (unsigned int)i % 7, 7);
		assert_int_equal(one.wakes, 1);
	}
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_lost, 0);
	assert_int_equal(one.begin, 101);
	assert_true(one.n_events > 1000);
	unsubscribe(&one);
	/* One that never began, or is done already. */
	cursor_done(&one.cursor);
}

/* The bytes do not depend on how many of them a socket takes at a time. */
static void test_pieces(void **state)
{
	const size_t pieces[] = { 1, 2, 7, 100, 5000 };

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		begin(&one, "{\"snapshot\":true}");
		begin(&two, "{\"snapshot\":true}");
		for (int run = 0; run < 6; run++) {
			stage_run(&stage, in_valgrind() ? 20 : 100, 30);
			while (!subscriber_read(&one, pieces[i], SIZE_MAX))
				;
			subscriber_read_all(&two);
		}
		subscriber_check(&one);
		subscriber_check(&two);
		assert_int_equal(one.n_lost, 0);
		assert_int_equal(one.size, two.size);
		/* Except for the time when it was ready. */
		assert_memory_equal(one.got + one.size - 10000, two.got + two.size - 10000, 10000);
		unsubscribe(&one);
		unsubscribe(&two);
	}
}

/* A subscriber that does not read loses the events that the log overwrites, and gets their exact number. */
static void test_slow(void **state)
{
	(void)state;
	begin(&one, "");
	begin(&two, "{\"types\":[\"exit\"]}");
	subscriber_read_all(&one);
	subscriber_read_all(&two);
	for (unsigned int run = 1; run <= 5; run++) {
		struct hub_loss before = hub_stats(stage.hub)->slow;
		uint64_t first;

		/* The socket is full in the middle of a line; the line still arrives completely. */
		stage_run(&stage, 20, 10);
		assert_false(subscriber_read(&one, SIZE_MAX, 1003));
		assert_false(one.cursor.reader.live);
		(void)subscriber_read(&two, SIZE_MAX, 0);
		stage_lap(&stage);
		stage_lap(&stage);
		first = log_first(hub_log(stage.hub));
		subscriber_read_all(&one);
		subscriber_read_all(&two);
		subscriber_check(&one);
		subscriber_check(&two);
		assert_int_equal(one.n_lost, run);
		assert_int_equal(two.n_lost, run);
		assert_int_equal(one.lost_to, first - 1);
		assert_int_equal(two.lost_to, first - 1);
		assert_string_equal(one.lost_reason, "slow");
		assert_int_equal(hub_stats(stage.hub)->slow.times, before.times + 2);
		assert_int_equal(hub_stats(stage.hub)->slow.count,
				 before.count + one.lost_count + two.lost_count);
		assert_true(one.cursor.reader.live);
	}
	unsubscribe(&one);
	unsubscribe(&two);
}

/* No loss is reported of events that the filter did not want. */
static void test_quiet(void **state)
{
	struct fb_event event;

	(void)state;
	stage_run(&stage, 10, 10);
	begin(&one, "{\"types\":[\"ptrace\"],\"uids\":[4711]}");
	begin(&two, "{\"types\":[\"ptrace\"],\"tree\":1}");
	subscriber_read_all(&one);
	subscriber_read_all(&two);
	for (int i = 0; i < 5; i++) {
		uint64_t next = log_end();

		while (log_first(hub_log(stage.hub)) <= next) {
			struct world_process *process = world_next(&stage.world, &event);

			/* Source and lost events are for everyone. */
			if (process)
				stage_publish(&stage, &event, process);
		}
		hub_flush(stage.hub);
		assert_int_equal(one.wakes, 0);
		assert_int_equal(two.wakes, 0);
		if (i % 2) {
			subscriber_read_all(&one);
			subscriber_read_all(&two);
		} else {
			assert_int_equal(cursor_heartbeat(&one.cursor), 0);
			assert_int_equal(cursor_heartbeat(&two.cursor), 0);
			subscriber_read_all(&one);
			subscriber_read_all(&two);
		}
		subscriber_check(&one);
		subscriber_check(&two);
		/* A subscriber that comes back with the cursor of a heartbeat gets all events that the log still has. */
		assert_true(i % 2 || one.reported == log_end() - 1);
		assert_true(i % 2 || two.reported == log_end() - 1);
	}
	assert_int_equal(one.n_lost, 0);
	assert_int_equal(two.n_lost, 0);
	assert_int_equal(one.n_heartbeats, 3);
	assert_int_equal(one.n_events, 0);
	unsubscribe(&one);
	unsubscribe(&two);
}

/* Nor if its next event comes after the log has overwritten its position. */
static void test_quiet_at_last(void **state)
{
	struct fb_event event;
	uint64_t next;

	(void)state;
	begin(&one, "{\"types\":[\"ptrace\"],\"uids\":[4711]}");
	subscriber_read_all(&one);
	for (next = log_end(); log_first(hub_log(stage.hub)) <= next;) {
		struct world_process *process = world_next(&stage.world, &event);

		if (process)
			stage_publish(&stage, &event, process);
	}
	hub_source_changed(stage.hub, "test", "at last", NULL);
	hub_flush(stage.hub);
	subscriber_read_all(&one);
	/* The stage does not know this event, so the lines are compared directly. */
	assert_non_null(memmem(one.got, one.size, "at last", 7));
	assert_null(memmem(one.got, one.size, "\"lost\"", 6));
	unsubscribe(&one);
}

static void test_heartbeat(void **state)
{
	(void)state;
	begin(&one, "");
	/* Not before it is ready, nor while something waits. */
	assert_int_equal(cursor_heartbeat(&one.cursor), 0);
	subscriber_read_all(&one);
	stage_run(&stage, 1, 1);
	assert_int_equal(cursor_heartbeat(&one.cursor), 0);
	assert_false(subscriber_read(&one, SIZE_MAX, 10));
	assert_int_equal(cursor_heartbeat(&one.cursor), 0);
	subscriber_read_all(&one);
	assert_int_equal(one.n_heartbeats, 0);
	assert_int_equal(cursor_heartbeat(&one.cursor), 0);
	/* Nor twice. */
	assert_int_equal(cursor_heartbeat(&one.cursor), 0);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_heartbeats, 1);
	assert_true(one.cursor.reader.live);
	stage_run(&stage, 1, 1);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_events, 2);
	unsubscribe(&one);
}

static const char *since(uint64_t epoch, uint64_t seq, const char *more)
{
	static char text[200];
	char cursor[CURSOR_TEXT_MAX];

	snprintf(text, sizeof(text), "{\"since\":\"%s\"%s}", cursor_print(cursor, epoch, seq), more);
	return text;
}

static void test_resume(void **state)
{
	uint64_t epoch = log_epoch(hub_log(stage.hub));
	struct filter_error error = { 0 };
	uint64_t first, next;

	(void)state;
	/* From the beginning of an empty log, too. */
	begin(&one, since(epoch, 0, ",\"threads\":true"));
	stage_run(&stage, 50, 10);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.begin, 1);
	assert_int_equal(one.n_events, 50);
	unsubscribe(&one);

	begin(&one, since(epoch, 20, ",\"threads\":true"));
	assert_int_equal(one.begin, 21);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_events, 30);
	unsubscribe(&one);

	begin(&one, since(epoch, log_end() - 1, ",\"types\":\"exit\""));
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_events, 0);
	unsubscribe(&one);

	/* The future is refused, by the key. */
	assert_int_equal(subscribe(&one, &stage, since(epoch, log_end(), ""), SEE_ALL, &error),
			 FILTER_E_INVALID);
	assert_string_equal(error.key, "since");
	assert_non_null(strstr(error.detail, "50"));
	assert_int_equal(subscribe(&one, &stage, since(epoch, UINT64_MAX, ""), SEE_ALL, &error),
			 FILTER_E_INVALID);

	/* Overwritten events are reported exactly, with any filter. */
	stage_lap(&stage);
	first = log_first(hub_log(stage.hub));
	assert_true(first > 51);
	begin(&one, since(epoch, 50, ",\"types\":\"exit\""));
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_string_equal(one.lost_reason, "expired");
	assert_int_equal(one.n_lost, 1);
	assert_int_equal(one.lost_from, 51);
	assert_int_equal(one.lost_to, first - 1);
	unsubscribe(&one);
	/* Beginning at the oldest event is not a loss. */
	begin(&one, since(epoch, first - 1, ""));
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_lost, 0);
	unsubscribe(&one);

	/* The log overwrites more before it is read. */
	begin(&one, since(epoch, 50, ""));
	stage_lap(&stage);
	first = log_first(hub_log(stage.hub));
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_string_equal(one.lost_reason, "expired");
	assert_int_equal(one.n_lost, 1);
	assert_int_equal(one.lost_from, 51);
	assert_int_equal(one.lost_to, first - 1);
	unsubscribe(&one);

	/* A cursor of another log: all events of this one are new. */
	next = log_end();
	begin(&one, since(epoch ^ 1, next + 1000, ",\"threads\":true"));
	assert_int_equal(one.begin, first);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_string_equal(one.lost_reason, "epoch");
	assert_int_equal(one.lost_from, 1);
	assert_int_equal(one.lost_to, first - 1);
	assert_int_equal(one.n_events, next - first);
	unsubscribe(&one);
}

static void test_other_epoch(void **state)
{
	(void)state;
	/* Nothing of this log is missing, but an unknown number of events of the other. */
	stage_run(&stage, 10, 10);
	begin(&one, since(log_epoch(hub_log(stage.hub)) ^ 1, 5, ",\"threads\":true"));
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_lost, 1);
	assert_string_equal(one.lost_reason, "epoch");
	assert_int_equal(one.lost_count, 0);
	assert_int_equal(one.n_events, 10);
	assert_int_equal(hub_stats(stage.hub)->slow.times, 1);
	unsubscribe(&one);
}

/* Since a time: the events report the world's, so it is brought near now. */
static void test_since_time(void **state)
{
	const struct log *log = hub_log(stage.hub);
	uint64_t now = clock_usec(CLOCK_REALTIME);
	struct fb_event event;

	(void)state;
	/* One a second, the last of them a second ago; no more than the log holds. */
	for (uint64_t i = 100; i > 0; i--) {
		struct world_process *process = world_next(&stage.world, &event);

		EVENT_SET(&event, time_usec, now - i * USEC_PER_SEC);
		stage_publish(&stage, &event, process);
	}
	begin(&one, "{\"since\":\"-10500ms\",\"threads\":true}");
	subscriber_read_all(&one);
	subscriber_check(&one);
	/* Unless this takes half a second. */
	assert_in_range(one.n_events, 1, 10);
	assert_int_equal(one.begin, log_end() - one.n_events);
	assert_int_equal(one.n_lost, 0);
	unsubscribe(&one);

	/* A longer time than the log covers: nothing was overwritten, the log only began later. */
	begin(&one, "{\"since\":\"-5h\",\"threads\":true}");
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_events, 100);
	assert_int_equal(one.n_lost, 0);
	unsubscribe(&one);

	/* More than it still has. */
	while (log_first(log) == 1) {
		struct world_process *process = world_next(&stage.world, &event);

		EVENT_SET(&event, time_usec, now);
		stage_publish(&stage, &event, process);
	}
	begin(&one, "{\"since\":\"-5h\",\"threads\":true}");
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_lost, 1);
	assert_string_equal(one.lost_reason, "expired");
	assert_int_equal(one.lost_count, 0);
	assert_in_range(one.lost_since, now - 5 * 3600 * USEC_PER_SEC, now - 4 * 3600 * USEC_PER_SEC);
	assert_int_equal(one.lost_until, log_first_time(log));
	unsubscribe(&one);

	begin(&one, "{\"since\":\"-0s\"}");
	assert_int_equal(one.begin, log_end());
	unsubscribe(&one);
}

/* Many at different places, with random filters and rights, and a minimal cache: each gets exactly its events. */
static void run_many(unsigned int steps)
{
	enum { MANY = 40 };
	static struct subscriber many[MANY];
	struct random random = { 77 };
	unsigned int events = 0, lost = 0;

	for (unsigned int step = 0; step < steps; step++) {
		struct subscriber *subscriber = &many[random_below(&random, MANY)];

		stage_run(&stage, 1 + (unsigned int)random_below(&random, 60), 20);
		if (!subscriber->stage) {
			struct visibility visibility = { .all = random_below(&random, 2),
							 .uid = 1000 + (uint32_t)random_below(&random, 3) };
			char request[700], more[80] = "";
			const char *filter = random_filter(&random);
			char cursor[CURSOR_TEXT_MAX];
			uint64_t seq = log_end() - 1 - random_below(&random, log_end());

			if (random_below(&random, 2))
				snprintf(more, sizeof(more), "%s\"since\":\"%s\"", filter[0] ? "," : "",
					 cursor_print(cursor, log_epoch(hub_log(stage.hub)), seq));
			snprintf(request, sizeof(request), "{%s%s}", filter, more);
			assert_int_equal(subscribe(subscriber, &stage, request, visibility, NULL), 0);
		} else if (random_below(&random, 30) == 0) {
			subscriber_read_all(subscriber);
			subscriber_check(subscriber);
			events += subscriber->n_events;
			lost += subscriber->n_lost;
			unsubscribe(subscriber);
			continue;
		}
		if (subscriber_read(subscriber, 1 + random_below(&random, 20000),
				    random_below(&random, 60000)) &&
		    subscriber->is_ready)
			subscriber_check(subscriber);
		if (random_below(&random, 20) == 0)
			assert_int_equal(cursor_heartbeat(&subscriber->cursor), 0);
	}
	for (unsigned int i = 0; i < MANY; i++) {
		if (!many[i].stage)
			continue;
		subscriber_read_all(&many[i]);
		subscriber_check(&many[i]);
		events += many[i].n_events;
		lost += many[i].n_lost;
		unsubscribe(&many[i]);
	}
	print_message("# %u events reported, %u losses\n", events, lost);
	assert_true(events > steps);
	assert_int_equal(views_stats(hub_views(stage.hub))->views, 0);
}

static void test_many(void **state)
{
	(void)state;
	run_many(in_valgrind() ? 200 : 1500);
}

static void test_many_large(void **state)
{
	(void)state;
	run_many(in_valgrind() ? 80 : 600);
}

/* Does the file's head include everything that was published? */
static bool is_shown(const struct log_header *header)
{
	return position_of(&header->head) - position_of(&header->tail) == log_used(hub_log(stage.hub));
}

/* No subscriber gets an event, or a position, beyond the head in the file, even if nothing was flushed. */
static void test_shown(void **state)
{
	int fd = log_share(hub_log(stage.hub));
	void *map = mmap(NULL, LOG_HEADER_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	(void)state;
	assert_true(map != MAP_FAILED);
	close(fd);
	begin(&one, "");
	subscriber_read_all(&one);
	for (int way = 0; way < 3; way++) {
		stage_happen(&stage);
		assert_false(is_shown(map));
		if (way == 0)
			begin(&two, "");
		else if (way == 1)
			subscriber_read_all(&one);
		else
			(void)cursor_is_idle(&one.cursor);
		assert_true(is_shown(map));
	}
	unsubscribe(&one);
	unsubscribe(&two);
	munmap(map, LOG_HEADER_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_live, small),	       STAGE_TEST(test_pieces, large),
		STAGE_TEST(test_slow, small),	       STAGE_TEST(test_quiet, small),
		STAGE_TEST(test_quiet_at_last, small), STAGE_TEST(test_heartbeat, small),
		STAGE_TEST(test_resume, small),	       STAGE_TEST(test_other_epoch, small),
		STAGE_TEST(test_since_time, small),    STAGE_TEST(test_many, small),
		STAGE_TEST(test_many_large, large),    STAGE_TEST(test_shown, small),
	};

	return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
