// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "source/clocks.h"

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void test_offset(void **state)
{
	uint64_t offset = 0, first, now;

	(void)state;
	clocks_read_offset(&offset, CLOCK_REALTIME, CLOCK_BOOTTIME);
	now = clock_usec(CLOCK_REALTIME);
	assert_true(apart(clock_usec(CLOCK_BOOTTIME) + offset / 1000, now) < USEC_PER_SEC);
	/* A correct offset does not change at all. */
	first = offset;
	for (int i = 0; i < 1000; i++)
		clocks_read_offset(&offset, CLOCK_REALTIME, CLOCK_BOOTTIME);
	assert_true(apart(first, offset) < 10 * NSEC_PER_USEC * USEC_PER_MSEC);
	/* A wrong offset is corrected, in both directions. */
	offset = first + 1000000000;
	clocks_read_offset(&offset, CLOCK_REALTIME, CLOCK_BOOTTIME);
	assert_true(apart(first, offset) < 500000000);
	offset = first - 1000000000;
	clocks_read_offset(&offset, CLOCK_REALTIME, CLOCK_BOOTTIME);
	assert_true(apart(first, offset) < 500000000);
}

static void test_itself(void **state)
{
	uint64_t offset = 0;

	(void)state;
	clocks_read_offset(&offset, CLOCK_MONOTONIC, CLOCK_MONOTONIC);
	assert_int_equal(offset, 0);
}

static void test_conversions(void **state)
{
	const struct clocks clocks = { .boot_offset_nsec = 5000, .real_offset_nsec = 1000000 };
	struct clocks now = {};

	(void)state;
	assert_int_equal(clocks_boot_nsec(&clocks, 1000), 6000);
	assert_int_equal(clocks_monotonic_nsec(&clocks, 6000), 1000);
	assert_int_equal(clocks_monotonic_nsec(&clocks, 4000), 0);
	assert_int_equal(clocks_real_usec(&clocks, 6000), 1006);
	clocks_read(&now);
	assert_true(apart(clocks_real_usec(&now, clocks_boot_nsec(&now, monotonic_nsec())),
			  clock_usec(CLOCK_REALTIME)) < USEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_offset), cmocka_unit_test(test_itself),
					    cmocka_unit_test(test_conversions) };

	return cmocka_run_group_tests_name("clocks", tests, NULL, NULL);
}
