// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process of an event, and the fields that the table adds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "log-format.h"
#include "source/subject.h"
#include "tests/unit/support.h"

#define SECOND UINT64_C(1000000)

static struct hub *hub;

static int setup(void **state)
{
	struct log *log = NULL;

	(void)state;
	assert_int_equal(log_open(&log, test_path("log"), LOG_BLOCKS_MIN * LOG_BLOCK_SIZE, (gid_t)-1), 0);
	assert_int_equal(hub_new(&hub, log, 1 << 20), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hub_free(hub);
	remove(test_path("log"));
	return 0;
}

static struct fb_event make(enum event_type type, uint32_t pid, uint64_t start_usec)
{
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, pid, pid);
	if (start_usec)
		EVENT_SET(&event, start_usec, start_usec);
	return event;
}

static void learn(uint32_t pid, uint64_t start_usec)
{
	struct fb_event event = make(EVENT_PROCESS, pid, start_usec);

	EVENT_SET(&event, ppid, 1);
	EVENT_SET(&event, uid, 1000);
	EVENT_SET(&event, pgid, 7);
	EVENT_SET(&event, exe, event_text("/bin/sh"));
	assert_int_equal(hub_learn(hub, &event), 0);
}

static void test_find(void **state)
{
	struct fb_event event = make(EVENT_COMM, 10, 10 * SECOND);

	(void)state;
	assert_null(subject_find(hub, &event));
	learn(10, 10 * SECOND);
	assert_int_equal(subject_find(hub, &event)->id.pid, 10);
	/* A start that is equal after cutting to a tick is the same; seconds later it is another process. */
	event = make(EVENT_COMM, 10, 10 * SECOND + EVENT_START_SLACK_USEC);
	assert_non_null(subject_find(hub, &event));
	event = make(EVENT_COMM, 10, 15 * SECOND);
	assert_null(subject_find(hub, &event));
	/* Without a start it is the process with this pid. */
	event = make(EVENT_COMM, 10, 0);
	assert_non_null(subject_find(hub, &event));
}

/* Fields that may have changed without an event are left out. */
static void test_describe(void **state)
{
	struct fb_event event = make(EVENT_COMM, 10, 0);

	(void)state;
	learn(10, 10 * SECOND);
	subject_describe(NULL, &event, FIELDS_ALL);
	assert_false(EVENT_HAS(&event, uid));
	subject_describe(subject_find(hub, &event), &event, ~EVENT_BIT(exe));
	assert_int_equal(event.start_usec, 10 * SECOND);
	assert_int_equal(event.uid, 1000);
	assert_false(EVENT_HAS(&event, exe) || EVENT_HAS(&event, pgid));
}

static void test_set_parent(void **state)
{
	struct fb_event event = make(EVENT_FORK, 20, 20 * SECOND);

	(void)state;
	assert_null(subject_set_parent(hub, &event, 10));
	assert_int_equal(event.ppid, 10);
	assert_false(EVENT_HAS(&event, parent_start_usec));
	learn(10, 10 * SECOND);
	assert_int_equal(subject_set_parent(hub, &event, 10)->id.pid, 10);
	assert_int_equal(event.parent_start_usec, 10 * SECOND);
}

static void test_inherit_exe(void **state)
{
	struct fb_event event = make(EVENT_FORK, 20, 20 * SECOND);
	const struct process *parent, *child;

	(void)state;
	learn(10, 10 * SECOND);
	parent = subject_set_parent(hub, &event, 10);
	hub_publish(hub, &event);
	child = table_find(hub_table(hub), 20);
	subject_inherit_exe(hub, NULL, &event);
	assert_false(child->has & EVENT_BIT(exe));
	subject_inherit_exe(hub, parent, &event);
	assert_string_equal(child->exe, "/bin/sh");
}

static int group_setup(void **state)
{
	(void)state;
	test_dir_make();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	test_dir_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_describe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inherit_exe, setup, teardown),
	};

	return cmocka_run_group_tests_name("subject", tests, group_setup, group_teardown);
}
