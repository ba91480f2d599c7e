// SPDX-License-Identifier: LGPL-2.1-or-later
/* Events that may be about another process than the one in the table with that pid, or that come after its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "log-format.h"
#include "tests/unit/stage-test.h"

#define PID   50
#define START UINT64_C(1000123)

static struct label *label;

static struct stage_size size = { 64, 16 << 20, 4 };

static int teardown(void **state)
{
	label = label_put(hub_labels(stage.hub), label);
	return stage_teardown(state);
}

static void latest(struct fb_event *event)
{
	struct log_place place;

	assert_int_equal(log_seek(hub_log(stage.hub), log_next(hub_log(stage.hub)) - 1, &place), 0);
	assert_int_equal(log_read(hub_log(stage.hub), &place, event), 0);
}

static void make(struct fb_event *event, enum event_type type, uint64_t start_usec)
{
	fb_event_init(event, type);
	EVENT_SET(event, time_usec, 1700000000000000);
	EVENT_SET(event, boot_usec, START + 1000);
	EVENT_SET(event, pid, PID);
	if (start_usec)
		EVENT_SET(event, start_usec, start_usec);
	EVENT_SET(event, uid, 1000);
}

static void begin_process(void)
{
	struct fb_event event;

	make(&event, EVENT_FORK, START);
	EVENT_SET(&event, comm, event_text("known"));
	hub_publish(stage.hub, &event);
}

/* It is published, and changes nothing that is known: neither the process, nor who sees it, nor its trees. */
static void test_uncertain(void **state)
{
	const enum event_type types[] = { EVENT_EXEC, EVENT_ID, EVENT_COMM, EVENT_EXIT };
	const struct process *process;
	struct fb_event event;
	uint64_t next, events;

	(void)state;
	begin_process();
	assert_int_equal(hub_get_label(stage.hub, &label, (struct process_id){ PID, START }), 0);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		next = log_next(hub_log(stage.hub));
		events = hub_stats(stage.hub)->events[types[i]];
		make(&event, types[i], 0);
		EVENT_SET(&event, uid, 0);
		EVENT_SET(&event, comm, event_text("other"));
		EVENT_SET(&event, label, 1);
		hub_publish_uncertain(stage.hub, &event);
		assert_int_equal(event.seq, next);
		latest(&event);
		assert_int_equal(event.type, types[i]);
		assert_int_equal(event.seq, next);
		assert_int_equal(event.uid, 0);
		assert_false(EVENT_HAS(&event, start_usec) || EVENT_HAS(&event, label));
		assert_int_equal(hub_stats(stage.hub)->events[types[i]], events + 1);
		process = table_find(hub_table(stage.hub), PID);
		assert_non_null(process);
		assert_int_equal(process->id.start_usec, START);
		assert_int_equal(process->uid, 1000);
		assert_memory_equal(process->comm, "known", 5);
	}
	/* One that is certain is of the tree. */
	make(&event, EVENT_EXIT, START);
	hub_publish(stage.hub, &event);
	latest(&event);
	assert_true(EVENT_HAS(&event, label));
	assert_null(table_find(hub_table(stage.hub), PID));
}

/* The end of a thread that is reported after that of its process belongs to the process' trees. */
static void test_thread_after_process(void **state)
{
	struct fb_event event;
	uint32_t number;

	(void)state;
	begin_process();
	assert_int_equal(hub_get_label(stage.hub, &label, (struct process_id){ PID, START }), 0);
	make(&event, EVENT_EXIT, START);
	hub_publish(stage.hub, &event);
	latest(&event);
	assert_true(EVENT_HAS(&event, label));
	number = event.label;
	make(&event, EVENT_EXIT, START);
	EVENT_SET(&event, tid, PID + 1);
	hub_publish(stage.hub, &event);
	latest(&event);
	assert_true(EVENT_HAS(&event, label));
	assert_int_equal(event.label, number);
	/* Not one of another process that had the pid. */
	make(&event, EVENT_EXIT, 2 * START);
	EVENT_SET(&event, tid, PID + 1);
	hub_publish(stage.hub, &event);
	latest(&event);
	assert_false(EVENT_HAS(&event, label));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(test_uncertain, stage_setup, teardown, &size),
		cmocka_unit_test_prestate_setup_teardown(test_thread_after_process, stage_setup, teardown,
							 &size),
	};

	return cmocka_run_group_tests_name("hub-uncertain", tests, NULL, NULL);
}
