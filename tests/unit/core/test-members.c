// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/members.h"
#include "tests/unit/random-event.h"

static bool has(const struct members *members, uint32_t pid, uint64_t start)
{
	return members_find(members, (struct process_id){ pid, start });
}

/* Starts may differ by a tick, or be unknown on one side. */
static void test_identity(void **state)
{
	struct members members = { 0 };

	(void)state;
	assert_false(has(&members, 10, 0));
	members_replace(&members, (struct process_id){ 10, 1 });
	assert_int_equal(members_add(&members, (struct process_id){ 10, 1000000 }), 0);
	assert_int_equal(members_add(&members, (struct process_id){ 12, 0 }), 0);
	assert_int_equal(members_add(&members, (struct process_id){ 0, 1 }), 0);
	assert_int_equal(members.n, 2);
	assert_true(has(&members, 10, 1010000));
	assert_true(has(&members, 10, 990000));
	assert_false(has(&members, 10, 1010001));
	assert_true(has(&members, 10, 0));
	assert_true(has(&members, 12, 77));
	assert_false(has(&members, 11, 0));
	/* The pid is used again: an earlier one has ended; a later one is still to come. */
	members_replace(&members, (struct process_id){ 10, 999999 });
	assert_true(has(&members, 10, 1000000));
	members_replace(&members, (struct process_id){ 10, 1000001 });
	assert_false(has(&members, 10, 0));
	members_replace(&members, (struct process_id){ 12, 0 });
	assert_int_equal(members.n, 0);
	members_done(&members);
	members_done(&members);
}

/* Members come and go, with few pids and many: compared with an array */
static void test_random(void **state)
{
	enum { PIDS = 300 };
	struct random random = { 1 };
	struct members members = { 0 };
	uint64_t starts[PIDS] = { 0 };

	(void)state;
	for (unsigned int i = 1; i < 100000; i++) {
		uint32_t pid = 1 + (uint32_t)random_below(&random, i < 50000 ? 20 : PIDS - 1);
		uint64_t start = (uint64_t)i * 20000;
		struct process_id *found = members_find(&members, (struct process_id){ pid, starts[pid] });

		assert_int_equal(found != NULL, starts[pid] != 0);
		assert_false(has(&members, pid, start));
		if (random_below(&random, 3) == 0 && found) {
			members_remove(&members, found);
			starts[pid] = 0;
		} else {
			members_replace(&members, (struct process_id){ pid, start });
			assert_int_equal(members_add(&members, (struct process_id){ pid, start }), 0);
			starts[pid] = start;
		}
	}
	for (uint32_t pid = 1; pid < PIDS; pid++)
		assert_int_equal(has(&members, pid, starts[pid]), starts[pid] != 0);
	members_done(&members);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
