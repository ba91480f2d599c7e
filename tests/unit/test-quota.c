// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/quota.h"

static int setup(void **state)
{
	return quota_new((struct quota **)state, 5, 2);
}

static int teardown(void **state)
{
	assert_null(quota_free(*state));
	return 0;
}

static void test_limits(void **state)
{
	struct quota *quota = *state;

	assert_null(quota_free(NULL));
	assert_int_equal(quota_take(quota, 7), 0);
	assert_int_equal(quota_take(quota, 7), 0);
	assert_int_equal(quota_take(quota, 7), QUOTA_E_USER);
	assert_int_equal(quota_used(quota), 2);
	assert_int_equal(quota_take(quota, 0), 0);
	assert_int_equal(quota_take(quota, 0), 0);
	assert_int_equal(quota_take(quota, 0), 0);
	assert_int_equal(quota_take(quota, 0), QUOTA_E_TOTAL);
	assert_int_equal(quota_take(quota, 8), QUOTA_E_TOTAL);
	assert_int_equal(quota_take(quota, 7), QUOTA_E_USER);
	quota_give(quota, 0);
	assert_int_equal(quota_take(quota, 8), 0);
	quota_give(quota, 7);
	assert_int_equal(quota_take(quota, 7), 0);
	assert_int_equal(quota_used(quota), 5);
}

static void test_set(void **state)
{
	struct quota *quota = *state;

	assert_int_equal(quota_take(quota, 7), 0);
	assert_int_equal(quota_take(quota, 7), 0);
	quota_set(quota, 5, 1);
	assert_int_equal(quota_used(quota), 2);
	quota_give(quota, 7);
	assert_int_equal(quota_take(quota, 7), QUOTA_E_USER);
	quota_give(quota, 7);
	assert_int_equal(quota_take(quota, 7), 0);
	quota_set(quota, 0, 9);
	assert_int_equal(quota_take(quota, 7), QUOTA_E_TOTAL);
	/* What nobody took cannot be given back. */
	quota_give(quota, 99);
	assert_int_equal(quota_used(quota), 1);
}

/* Many users, come and gone, against counters */
static void test_many(void **state)
{
	enum { USERS = 200, TOTAL = 1000, EACH = 10 };
	static unsigned int used[USERS];
	struct quota *quota = *state;
	unsigned int total = 0;

	quota_set(quota, TOTAL, EACH);
	srandom(1);
	for (int op = 0; op < 50000; op++) {
		uint32_t uid = (uint32_t)random() % USERS;

		if (random() % 5 < 3) {
			int expected = uid != 0 && used[uid] >= EACH ? QUOTA_E_USER
				       : total >= TOTAL		     ? QUOTA_E_TOTAL
								     : 0;

			assert_int_equal(quota_take(quota, uid), expected);
			used[uid] += expected == 0;
			total += expected == 0;
		} else if (used[uid] > 0) {
			quota_give(quota, uid);
			used[uid]--;
			total--;
		}
		assert_int_equal(quota_used(quota), total);
	}
	for (uint32_t uid = 0; uid < USERS; uid++)
		while (used[uid]-- > 0)
			quota_give(quota, uid);
	assert_int_equal(quota_used(quota), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
