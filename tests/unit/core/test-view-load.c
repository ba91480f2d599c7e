// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What views do while a source publishes, and what they leave to their readers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/slice.h"
#include "tests/unit/stage-test.h"

static struct stage_size large = { 64, 16 << 20, 3 };
static struct stage_size small = { 64, 1 << 20, 3 };

/* The first step is always made; after that the clock decides, which is read at intervals. */
static void test_slice(void **state)
{
	struct slice over = { .until = 0 }, dear = over, open = slice_begin(600 * NSEC_PER_SEC);
	unsigned int cheap = 0;

	(void)state;
	while (!slice_is_over(&over, SLICE_CHEAP))
		cheap++;
	assert_int_equal(cheap, SLICE_STEPS);
	assert_false(slice_is_over(&dear, SLICE_DEAR));
	assert_true(slice_is_over(&dear, SLICE_DEAR));
	for (int i = 0; i < 1000; i++)
		assert_false(slice_is_over(&open, SLICE_DEAR));
}

/* What costs much is not done while the source publishes, but by the reader. */
static void test_left_to_reader(void **state)
{
	static const char *const dear = "{\"comm\":[\"a*\",\"b*\",\"c*\",\"*d\",\"*\"],\"threads\":true}";
	const struct views_stats *stats = views_stats(hub_views(stage.hub));
	static struct subscriber subscriber;

	(void)state;
	assert_int_equal(subscribe(&subscriber, &stage, dear, SEE_ALL, NULL), 0);
	subscriber_read_all(&subscriber);
	for (int i = 0; i < 5; i++) {
		uint64_t before = stats->encoded;

		stage_run(&stage, 100, 50);
		assert_int_equal(stats->encoded, before);
		subscriber_read_all(&subscriber);
		assert_true(stats->encoded > before);
		subscriber_check(&subscriber);
	}
	unsubscribe(&subscriber);
}

/* Nor is what is cheap, if there is too much of it between two flushes. */
static void test_too_much(void **state)
{
	enum { MANY = 5000 };
	const struct views_stats *stats = views_stats(hub_views(stage.hub));
	static struct subscriber subscriber;

	(void)state;
	assert_int_equal(subscribe(&subscriber, &stage, "{\"threads\":true}", SEE_ALL, NULL), 0);
	subscriber_read_all(&subscriber);
	stage_run(&stage, MANY, MANY);
	assert_in_range(stats->encoded, 1, MANY / 2);
	subscriber_read_all(&subscriber);
	subscriber_check(&subscriber);
	assert_true(stats->encoded >= MANY);

	/* From the next flush on as before. */
	stage_run(&stage, 10, 10);
	assert_true(stats->encoded >= MANY + 10);
	subscriber_read_all(&subscriber);
	subscriber_check(&subscriber);
	unsubscribe(&subscriber);
}

/* Patterns that cost little each, but much together, leave the views without patterns what these need. */
static void test_patterns_of_others(void **state)
{
	enum { OTHERS = 100, EVENTS = 300 };
	const struct views_stats *stats = views_stats(hub_views(stage.hub));
	static struct subscriber plain, others[OTHERS];
	char filter[64];

	(void)state;
	assert_int_equal(subscribe(&plain, &stage, "{\"threads\":true}", SEE_ALL, NULL), 0);
	subscriber_read_all(&plain);
	for (int i = 0; i < OTHERS; i++) {
		snprintf(filter, sizeof(filter), "{\"comm\":\"*no name like this %d*\"}", i);
		assert_int_equal(subscribe(&others[i], &stage, filter, SEE_ALL, NULL), 0);
		subscriber_read_all(&others[i]);
	}
	for (int i = 0; i < 3; i++) {
		uint64_t before = stats->encoded;

		stage_run(&stage, EVENTS, EVENTS);
		assert_int_equal(stats->encoded, before + EVENTS);
		subscriber_read_all(&plain);
		subscriber_check(&plain);
	}
	for (int i = 0; i < OTHERS; i++) {
		subscriber_read_all(&others[i]);
		subscriber_check(&others[i]);
		unsubscribe(&others[i]);
	}
	unsubscribe(&plain);
}

static struct subscriber all, first, behind;

/* One of two equal subscribers reads all, again and again, and then the other one. Nothing is encoded twice. */
static void check_few_chunks(const char *filter, unsigned int rounds, unsigned int events)
{
	const struct views_stats *stats = views_stats(hub_views(stage.hub));
	uint64_t before;

	assert_int_equal(subscribe(&all, &stage, "{\"threads\":true}", SEE_ALL, NULL), 0);
	assert_int_equal(subscribe(&first, &stage, filter, SEE_ALL, NULL), 0);
	assert_int_equal(subscribe(&behind, &stage, filter, SEE_ALL, NULL), 0);
	subscriber_read_all(&all);
	subscriber_read_all(&first);
	subscriber_read_all(&behind);
	for (unsigned int i = 0; i < rounds; i++) {
		stage_run(&stage, 2 * events, events);
		subscriber_read_all(&all);
		subscriber_check(&all);
		subscriber_read_all(&first);
		subscriber_check(&first);
	}
	before = stats->encoded;
	subscriber_read_all(&behind);
	subscriber_check(&behind);
	assert_int_equal(stats->encoded, before);
	unsubscribe(&all);
	unsubscribe(&first);
	unsubscribe(&behind);
}

/* What its readers have read and what is published next share a chunk. */
static void test_chunks_of_bursts(void **state)
{
	(void)state;
	check_few_chunks("{\"types\":[\"id\"],\"uids\":[1000]}", 12, 1000);
}

/* So do events with others between that do not match, though only readers match these events. */
static void test_chunks_of_few(void **state)
{
	(void)state;
	check_few_chunks("{\"types\":[\"id\"],\"comm\":[\"a*\",\"b*\",\"c*\",\"*d\",\"*\"]}", 200, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slice),
		STAGE_TEST(test_left_to_reader, large),
		STAGE_TEST(test_too_much, large),
		STAGE_TEST(test_patterns_of_others, large),
		STAGE_TEST(test_chunks_of_bursts, small),
		STAGE_TEST(test_chunks_of_few, small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
