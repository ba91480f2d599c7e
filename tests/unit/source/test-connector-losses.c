// SPDX-License-Identifier: LGPL-2.1-or-later
/* When does the connector report a loss or a silence, and what may a scan correct then? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/connector-stage.h"

/* The record of an exit without a message, while the kernel sends none. */
static void test_silence(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "shell");
	say_fork(PARENT, CHILD, CHILD);
	cycle();
	next_event(EVENT_FORK, &event);
	silent = true;
	say_record(CHILD, PARENT, 1000, "shell");
	say_record(OTHER + 0x7f000000, PARENT, 1000, "unseen");
	assert_true(connector_pace_ops.check(connector));
	next_event(EVENT_EXIT, &event);
	assert_true(EVENT_HAS(&event, code) && EVENT_HAS(&event, minor_faults));
	next_event(EVENT_EXIT, &event);
	assert_text(event.comm, "unseen");
	assert_int_equal(event.uid, 1000);
	assert_int_equal(event.ppid, PARENT);
	assert_true(EVENT_HAS(&event, code) && EVENT_HAS(&event, start_usec));
	next_event(EVENT_LOST, &event);
	assert_text(event.reason, "unarmed");
	assert_int_equal(n_listened, 1);
	/* Its message comes after all. */
	say(PROC_EVENT_EXIT, CHILD, CHILD);
	cycle();
	(void)connector_pace_ops.check(connector);
	assert_false(has_event(EVENT_EXIT));
	assert_false(has_event(EVENT_LOST));
}

/* The message is only late: nothing is reported. */
static void test_no_silence(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "shell");
	say_fork(PARENT, CHILD, CHILD);
	cycle();
	say_record(CHILD, PARENT, 1000, "shell");
	assert_true(connector_pace_ops.check(connector));
	assert_false(has_event(EVENT_EXIT));
	say(PROC_EVENT_EXIT, CHILD, CHILD);
	cycle();
	next_event(EVENT_EXIT, &event);
	assert_false(connector_pace_ops.check(connector));
	assert_int_equal(n_listened, 0);
	assert_false(has_event(EVENT_LOST));
}

/* A loss is reported in the turn that notices it, after what the socket still held. The gap is not reported again. */
static void test_overrun(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "shell");
	say_fork(PARENT, CHILD, CHILD);
	cycle();
	say_fork(PARENT, CHILD + 1, CHILD + 1);
	overflow(5);
	cycle();
	next_event(EVENT_FORK, &event);
	next_event(EVENT_FORK, &event);
	next_event(EVENT_LOST, &event);
	assert_text(event.reason, "netlink");
	assert_int_equal(event.count, 5);
	assert_true(resync_is_wanted(connector->resync));
	say_fork(PARENT, CHILD + 2, CHILD + 2);
	cycle();
	assert_false(has_event(EVENT_LOST));
	assert_int_equal(connector->stats.lost_messages, 5);
}

/*
 * What follows a loss in the same turn comes after it, whichever CPU sent it: the fork of a thread may be missing, so the end of
 * another one is not the end of its process.
 */
static void test_overrun_within_turn(void **state)
{
	struct fb_event event;
	uint64_t exit_seq;

	(void)state;
	old_process(PARENT, 1, 1000, "shell");
	say_fork(PARENT, CHILD, CHILD);
	say_fork(PARENT, CHILD + 1, CHILD + 1);
	say_exit(CHILD + 1, PARENT, 1000, "shell");
	cpu = 1;
	overflow(5);
	sequence = 0;
	say(PROC_EVENT_EXIT, CHILD, CHILD);
	say_fork(PARENT, CHILD + 2, CHILD + 2);
	say_exit(CHILD + 2, PARENT, 1000, "shell");
	cycle();
	next_event(EVENT_EXIT, &event);
	assert_int_equal(event.pid, CHILD + 1);
	exit_seq = event.seq;
	next_event(EVENT_LOST, &event);
	assert_true(event.seq == exit_seq + 1);
	assert_int_equal(event.count, 5);
	next_event(EVENT_EXIT, &event);
	assert_int_equal(event.pid, CHILD + 2);
	assert_true(EVENT_HAS(&event, code) && EVENT_HAS(&event, start_usec));
	assert_int_equal(groups_ending(connector->groups), 1);
	assert_non_null(table_find(hub_table(connector->hub), CHILD));
	/* The next message of the other CPU shows the same loss: this is no further one. */
	cpu = 0;
	sequence = 8;
	say_fork(PARENT, CHILD + 3, CHILD + 3);
	cycle();
	assert_false(has_event(EVENT_LOST));
	assert_true(group_is_certain(connector->groups, groups_find(connector->groups, CHILD + 3), now + 1));
	assert_int_equal(groups_ending(connector->groups), 1);
}

/* A scan has put what a message says into the table before the message is published: it is published all the same. */
static void test_scan_before_message(void **state)
{
	struct proc_event name = { .what = PROC_EVENT_COMM };
	struct proc_snapshot snapshot = {};
	struct fb_event event;

	(void)state;
	old_process(CHILD, 1, 1000, "new");
	name.event_data.comm.process_pid = name.event_data.comm.process_tgid = CHILD;
	strcpy(name.event_data.comm.comm, "new");
	for (int scanned = 1; scanned >= 0; scanned--) {
		say_id(PROC_EVENT_UID, CHILD, 1000);
		say_id(PROC_EVENT_GID, CHILD, 1000);
		push(&name);
		if (scanned) {
			snapshot.begin_nsec = snapshot.end_nsec = now;
			connector_resync_ops.begin(connector, &snapshot);
		}
		cycle();
		assert_int_equal(has_event(EVENT_ID), scanned);
		assert_int_equal(has_event(EVENT_COMM), scanned);
		if (!scanned)
			continue;
		next_event(EVENT_ID, &event);
		assert_int_equal(event.uid, 1000);
		/* What it was before is not known. */
		assert_false(EVENT_HAS(&event, old_uid));
		next_event(EVENT_ID, &event);
		assert_int_equal(event.gid, 1000);
		next_event(EVENT_COMM, &event);
	}
}

/* Up to when have all events been published? Those before a loss may not come. */
static void test_published_until(void **state)
{
	uint64_t lost, before;

	(void)state;
	cycle();
	connector->idle_nsec = 0;
	connector->published_nsec = now;
	assert_int_equal(connector_resync_ops.published(connector, &before),
			 connector_boot_usec(connector, now));
	/* Nothing came since, and nothing waits. */
	cycle();
	assert_true(connector_resync_ops.published(connector, &lost) > connector_boot_usec(connector, now));
	assert_int_equal(lost, before);
	overflow(1);
	cycle();
	(void)connector_resync_ops.published(connector, &lost);
	assert_true(lost > before);
}

int main(void)
{
#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_silence),
		TEST(test_no_silence),
		TEST(test_overrun),
		TEST(test_overrun_within_turn),
		TEST(test_scan_before_message),
		TEST(test_published_until),
	};

	return cmocka_run_group_tests_name("connector-losses", tests, NULL, NULL);
}
