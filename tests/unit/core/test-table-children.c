// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/table-events.h"

static void test_children(void **state)
{
	struct table *table = *state;
	struct fb_event event;

	apply_fork(table, 1, 1, 0, 0);
	for (uint32_t pid = 2; pid <= 5; pid++)
		apply_fork(table, pid, 100000 * pid, 1, 0);
	assert_int_equal(count_children(table_find(table, 1)), 4);
	apply_exit(table, 3, 0);
	assert_int_equal(count_children(table_find(table, 1)), 3);

	/* A new parent */
	event = make(EVENT_PROCESS, 5, 500000);
	EVENT_SET(&event, ppid, 4);
	EVENT_SET(&event, parent_start_usec, 400000);
	apply(table, &event);
	assert_int_equal(count_children(table_find(table, 1)), 2);
	assert_int_equal(count_children(table_find(table, 4)), 1);
	event = make(EVENT_COMM, 5, 500000);
	EVENT_SET(&event, ppid, 2);
	apply(table, &event);
	assert_ptr_equal(table_find(table, 5)->parent, table_find(table, 2));
	assert_false(knows(table_find(table, 5), EVENT_BIT(parent_start_usec)));

	/* After its parent's end it has none, until an event names the new one. */
	apply_exit(table, 2, 0);
	assert_false(knows(table_find(table, 5), EVENT_BIT(ppid)));
	assert_null(table_find(table, 5)->parent);
	event = make(EVENT_PROCESS, 5, 500000);
	EVENT_SET(&event, ppid, 1);
	EVENT_SET(&event, parent_start_usec, 1);
	apply(table, &event);
	assert_int_equal(count_children(table_find(table, 1)), 2);
	apply_exit(table, 1, 1);
	assert_false(knows(table_find(table, 5), EVENT_BIT(ppid)));
	assert_false(knows(table_find(table, 5), EVENT_BIT(parent_start_usec)));
}

/* /proc lists by pid: a child may come before its parent. */
static void test_children_first(void **state)
{
	struct table *table = *state;
	struct fb_event event;

	for (uint32_t pid = 10; pid < 13; pid++) {
		event = make(EVENT_PROCESS, pid, 900000);
		EVENT_SET(&event, ppid, 50);
		EVENT_SET(&event, parent_start_usec, pid == 12 ? 100000 : 500000);
		apply(table, &event);
	}
	event = make(EVENT_PROCESS, 50, 500000);
	apply(table, &event);
	assert_int_equal(count_children(table_find(table, 50)), 2);
	/* 12 is a child of an earlier process 50, and keeps its ppid. */
	assert_true(knows(table_find(table, 12), EVENT_BIT(ppid)));
	assert_null(table_find(table, 12)->parent);
	apply_exit(table, 50, 500000);
	for (uint32_t pid = 10; pid < 13; pid++)
		assert_false(knows(table_find(table, pid), EVENT_BIT(ppid)));

	/* Children that wait for a parent that is never added */
	apply_fork(table, 20, 900000, 60, 0);
	apply_exit(table, 60, 0);
	assert_false(knows(table_find(table, 20), EVENT_BIT(ppid)));
	apply_fork(table, 21, 900000, 61, 0);
	apply_fork(table, 22, 900000, 61, 0);
	apply_exit(table, 21, 0);
	apply_exit(table, 22, 0);
	apply_fork(table, 61, 900000, 0, 0);
	assert_null(table_find(table, 61)->children);
}

static void test_circles(void **state)
{
	struct table *table = *state;
	struct fb_event event;

	apply_fork(table, 5, 100, 5, 0);
	assert_null(table_find(table, 5)->children);
	apply_fork(table, 10, 100, 12, 0);
	apply_fork(table, 11, 100, 10, 0);
	apply_fork(table, 12, 100, 11, 0);
	event = make(EVENT_PROCESS, 11, 100);
	EVENT_SET(&event, ppid, 12);
	apply(table, &event);
	event.ppid = 10;
	apply(table, &event);
	for (uint32_t pid = 10; pid <= 12; pid++) {
		const struct process *process = table_find(table, pid);

		for (int depth = 0; process; process = process->parent)
			assert_true(depth++ < 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_children, setup, teardown),
		cmocka_unit_test_setup_teardown(test_children_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_circles, setup, teardown),
	};

	return cmocka_run_group_tests_name("table-children", tests, NULL, NULL);
}
