// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "process-id.h"

static void starts_within_a_tick_are_one(void **state)
{
	struct process_id one = { .pid = 7, .start_usec = 5000000 };

	(void)state;
	assert_true(process_id_equal(one, one));
	assert_true(process_id_equal(one, (struct process_id){ 7, 5010000 }));
	assert_true(process_id_equal(one, (struct process_id){ 7, 4990000 }));
	assert_false(process_id_equal(one, (struct process_id){ 7, 5010001 }));
	assert_false(process_id_equal(one, (struct process_id){ 7, 4989999 }));
}

static void another_pid_is_another_process(void **state)
{
	struct process_id one = { .pid = 7, .start_usec = 5000000 };

	(void)state;
	assert_false(process_id_equal(one, (struct process_id){ 8, 5000000 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_within_a_tick_are_one),
		cmocka_unit_test(another_pid_is_another_process),
	};

	return cmocka_run_group_tests_name("process-id", tests, NULL, NULL);
}
