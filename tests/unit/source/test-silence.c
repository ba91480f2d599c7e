// SPDX-License-Identifier: LGPL-2.1-or-later
/* When the broker decides that a quiet kernel is silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "source/connector/silence.h"

#define SECOND NSEC_PER_SEC

/* With records: a record without a message shows the silence, at the second check. */
static void test_by_records(void **state)
{
	struct silence silence;

	(void)state;
	silence_init(&silence, true, SECOND);
	assert_false(silence_check(&silence, 100 * SECOND, 5, 0));
	/* Nothing happens. */
	assert_false(silence_check(&silence, 200 * SECOND, 5, 0));
	assert_false(silence_check(&silence, 300 * SECOND, 5, 0));
	/* The message comes a moment later. */
	assert_false(silence_check(&silence, 301 * SECOND, 5, 1));
	assert_false(silence_check(&silence, 302 * SECOND, 6, 0));
	assert_false(silence_check(&silence, 303 * SECOND, 6, 0));
	/* It does not. */
	assert_false(silence_check(&silence, 304 * SECOND, 6, 1));
	assert_true(silence_check(&silence, 305 * SECOND, 6, 0));
}

/* Without records: a thread of the broker shows it, some time after the last message. */
static void test_by_thread(void **state)
{
	struct silence silence;

	(void)state;
	silence_init(&silence, false, SECOND);
	assert_false(silence_check(&silence, 2 * SECOND, 0, 0));
	assert_false(silence_check(&silence, 4 * SECOND, 0, 0));
	/* Its message arrived. */
	assert_false(silence_check(&silence, 5 * SECOND, 2, 0));
	assert_false(silence_check(&silence, 6 * SECOND, 2, 0));
	assert_false(silence_check(&silence, 8 * SECOND, 2, 0));
	assert_false(silence_check(&silence, 9 * SECOND, 2, 0));
	assert_true(silence_check(&silence, 9 * SECOND + 1, 2, 0));
}

static void record(struct groups *groups, uint32_t tid, uint64_t arrival, uint64_t heard)
{
	const struct taskstats_record record = {
		.version = 16,
		.tgid = (uint32_t)getpid(),
		.tid = tid,
		.arrival_nsec = arrival,
		.heard_nsec = heard,
	};

	assert_int_equal(groups_record(groups, &record), 0);
}

/* A record whose exit did not come, though its thread is gone. No thread has an id as high as these. */
static void test_past(void **state)
{
	struct groups *groups;
	struct silence silence;

	(void)state;
	silence_init(&silence, true, SECOND);
	assert_int_equal(groups_new(&groups, true), 0);
	assert_int_equal(silence_past(&silence, groups, 100 * SECOND), 0);
	/* This one frees much memory. */
	record(groups, (uint32_t)getpid(), 10 * SECOND, 3 * SECOND);
	assert_int_equal(silence_past(&silence, groups, 100 * SECOND), 0);
	record(groups, 0x7ffffff0, 20 * SECOND, 19 * SECOND);
	record(groups, 0x7ffffff1, 21 * SECOND, 18 * SECOND);
	record(groups, 0x7ffffff2, 99 * SECOND, 4 * SECOND);
	assert_int_equal(silence_past(&silence, groups, 20 * SECOND), 0);
	assert_int_equal(silence_past(&silence, groups, 100 * SECOND), 18 * SECOND);
	/* A silence is reported only once. */
	silence_cover(&silence, 21 * SECOND);
	assert_int_equal(silence_past(&silence, groups, 100 * SECOND), 0);
	assert_int_equal(silence_past(&silence, groups, 102 * SECOND), 4 * SECOND);
	assert_null(groups_free(groups));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_records),
		cmocka_unit_test(test_by_thread),
		cmocka_unit_test(test_past),
	};

	return cmocka_run_group_tests_name("silence", tests, NULL, NULL);
}
