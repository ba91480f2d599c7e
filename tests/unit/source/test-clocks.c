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

/* What happened before a suspend, and is read after it, has the time of before. */
static void test_suspend(void **state)
{
	const uint64_t hour = 3600 * NSEC_PER_SEC, msec = NSEC_PER_MSEC;
	struct clocks clocks = {};

	(void)state;
	/* The first offset is no suspend, nor is a more exact one. */
	clocks_note(&clocks, 1000 * msec, 5 * hour);
	clocks_note(&clocks, 2000 * msec, 5 * hour + 1000);
	assert_int_equal(clocks.suspended_nsec, 0);
	assert_int_equal(clocks_boot_nsec(&clocks, 10), 5 * hour + 1010);
	clocks_note(&clocks, 2000 * msec, 5 * hour);

	/* At 2200 ms, for an hour. */
	clocks_note(&clocks, 2600 * msec, 6 * hour);
	assert_int_equal(clocks_boot_nsec(&clocks, 1500 * msec), 5 * hour + 1500 * msec);
	assert_int_equal(clocks_boot_nsec(&clocks, 2010 * msec), 5 * hour + 2010 * msec);
	assert_int_equal(clocks_boot_nsec(&clocks, 2590 * msec), 6 * hour + 2590 * msec);
	assert_int_equal(clocks_monotonic_nsec(&clocks, 5 * hour + 2010 * msec), 2010 * msec);
	assert_int_equal(clocks_monotonic_nsec(&clocks, 6 * hour + 2590 * msec), 2590 * msec);
	/* A time within the suspend. */
	assert_int_equal(clocks_monotonic_nsec(&clocks, 5 * hour + hour / 2), 2300 * msec);
	assert_int_equal(clocks_monotonic_nsec(&clocks, 4 * hour), 0);

	/* Reading again changes nothing, another suspend does. */
	clocks_note(&clocks, 2700 * msec, 6 * hour);
	assert_int_equal(clocks_boot_nsec(&clocks, 2010 * msec), 5 * hour + 2010 * msec);
	clocks_note(&clocks, 3700 * msec, 7 * hour);
	assert_int_equal(clocks_boot_nsec(&clocks, 2710 * msec), 6 * hour + 2710 * msec);
	assert_int_equal(clocks_boot_nsec(&clocks, 3690 * msec), 7 * hour + 3690 * msec);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_offset), cmocka_unit_test(test_itself),
					    cmocka_unit_test(test_conversions),
					    cmocka_unit_test(test_suspend) };

	return cmocka_run_group_tests_name("clocks", tests, NULL, NULL);
}
