// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/arming.h"
#include "tests/unit/random-event.h"

#define START  (1000 * USEC_PER_SEC)
#define CHROOT EVENT_TYPE_BIT(EVENT_CHROOT)
#define PTRACE EVENT_TYPE_BIT(EVENT_PTRACE)

static struct arming arming;
static uint64_t wait_usec;

static int setup(void **state)
{
	(void)state;
	arming_init(&arming);
	arming_set_supported(&arming, UINT32_MAX, 0);
	return 0;
}

static bool update(uint32_t wanted, uint64_t usec)
{
	return arming_update(&arming, wanted, true, START + usec, &wait_usec);
}

static void a_type_is_disarmed_late(void **state)
{
	(void)state;
	assert_true(update(CHROOT, 0));
	assert_int_equal(wait_usec, 0);
	assert_false(update(0, 5));
	assert_int_equal(wait_usec, ARMING_USEC);
	assert_int_equal(arming.armed, HUB_ARMED_ALWAYS | CHROOT);
	/* Asked for once. */
	assert_false(update(0, 6));
	assert_int_equal(wait_usec, 0);
	assert_false(update(0, 4 + ARMING_USEC));
	assert_true(update(0, 5 + ARMING_USEC));
	assert_int_equal(arming.armed, HUB_ARMED_ALWAYS);
	assert_int_equal(wait_usec, 0);
}

/* What was wanted last does not go with what was wanted before. */
static void each_type_has_its_own_time(void **state)
{
	(void)state;
	assert_true(update(CHROOT, 0));
	assert_false(update(0, 0));
	assert_true(update(PTRACE, ARMING_USEC - 10));
	assert_false(update(0, ARMING_USEC - 5));
	assert_true(update(0, ARMING_USEC));
	assert_int_equal(arming.armed, HUB_ARMED_ALWAYS | PTRACE);
	assert_int_equal(wait_usec, ARMING_USEC - 5);
	assert_false(update(PTRACE, ARMING_USEC + 1));
	assert_false(update(0, 2 * ARMING_USEC));
	assert_int_equal(wait_usec, ARMING_USEC);
	assert_true(update(0, 3 * ARMING_USEC));
	assert_int_equal(arming.armed, HUB_ARMED_ALWAYS);
}

/* Whatever comes and goes. */
static void no_type_is_armed_twice_in_that_time(void **state)
{
	struct random random = { 7 };
	uint64_t armed_at[_EVENT_TYPE_MAX] = {}, due = 0, next;
	unsigned int armings = 0;

	(void)state;
	for (uint64_t usec = 1; usec < 300 * ARMING_USEC;) {
		uint32_t before = arming.armed;

		(void)update((uint32_t)random_next(&random) & (uint32_t)random_next(&random), usec);
		for (unsigned int type = 0; type < _EVENT_TYPE_MAX; type++) {
			if (!(arming.armed & ~before & EVENT_TYPE_BIT(type)))
				continue;
			armings++;
			assert_true(armed_at[type] == 0 || usec - armed_at[type] >= ARMING_USEC);
			armed_at[type] = usec;
		}
		if (wait_usec > 0)
			due = usec + wait_usec;
		next = usec + random_below(&random, ARMING_USEC);
		usec = due > usec && next > due && random_below(&random, 2) ? due : next;
	}
	assert_true(armings > 20);
}

static void at_once_where_nobody_can_wait(void **state)
{
	(void)state;
	assert_true(arming_update(&arming, CHROOT, false, START, &wait_usec));
	assert_true(arming_update(&arming, 0, false, START, &wait_usec));
	assert_int_equal(wait_usec, 0);
	assert_int_equal(arming.armed, HUB_ARMED_ALWAYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_type_is_disarmed_late, setup),
		cmocka_unit_test_setup(each_type_has_its_own_time, setup),
		cmocka_unit_test_setup(no_type_is_armed_twice_in_that_time, setup),
		cmocka_unit_test_setup(at_once_where_nobody_can_wait, setup),
	};

	return cmocka_run_group_tests_name("arming", tests, NULL, NULL);
}
