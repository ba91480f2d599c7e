// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/budget.h"

static int setup(void **state)
{
	return budget_new((struct budget **)state, 5, 2);
}

static int teardown(void **state)
{
	assert_null(budget_free(*state));
	return 0;
}

static void test_limits(void **state)
{
	struct budget *budget = *state;

	assert_null(budget_free(NULL));
	assert_int_equal(budget_take(budget, 7), 0);
	assert_int_equal(budget_take(budget, 7), 0);
	assert_int_equal(budget_take(budget, 7), BUDGET_E_USER);
	assert_int_equal(budget_used(budget), 2);
	assert_int_equal(budget_take(budget, 0), 0);
	assert_int_equal(budget_take(budget, 0), 0);
	assert_int_equal(budget_take(budget, 0), 0);
	assert_int_equal(budget_take(budget, 0), BUDGET_E_TOTAL);
	assert_int_equal(budget_take(budget, 8), BUDGET_E_TOTAL);
	assert_int_equal(budget_take(budget, 7), BUDGET_E_USER);
	budget_give(budget, 0);
	assert_int_equal(budget_take(budget, 8), 0);
	budget_give(budget, 7);
	assert_int_equal(budget_take(budget, 7), 0);
	assert_int_equal(budget_used(budget), 5);
}

static void test_set(void **state)
{
	struct budget *budget = *state;

	assert_int_equal(budget_take(budget, 7), 0);
	assert_int_equal(budget_take(budget, 7), 0);
	budget_set(budget, 5, 1);
	assert_int_equal(budget_used(budget), 2);
	budget_give(budget, 7);
	assert_int_equal(budget_take(budget, 7), BUDGET_E_USER);
	budget_give(budget, 7);
	assert_int_equal(budget_take(budget, 7), 0);
	budget_set(budget, 0, 9);
	assert_int_equal(budget_take(budget, 7), BUDGET_E_TOTAL);
	/* What nobody took cannot be given back. */
	budget_give(budget, 99);
	assert_int_equal(budget_used(budget), 1);
}

/* Many users, come and gone, against counters */
static void test_many(void **state)
{
	enum { USERS = 200, TOTAL = 1000, EACH = 10 };
	static unsigned int used[USERS];
	struct budget *budget = *state;
	unsigned int total = 0;

	budget_set(budget, TOTAL, EACH);
	srandom(1);
	for (int op = 0; op < 50000; op++) {
		uint32_t uid = (uint32_t)random() % USERS;

		if (random() % 5 < 3) {
			int expected = uid != 0 && used[uid] >= EACH ? BUDGET_E_USER
				       : total >= TOTAL		     ? BUDGET_E_TOTAL
								     : 0;

			assert_int_equal(budget_take(budget, uid), expected);
			used[uid] += expected == 0;
			total += expected == 0;
		} else if (used[uid] > 0) {
			budget_give(budget, uid);
			used[uid]--;
			total--;
		}
		assert_int_equal(budget_used(budget), total);
	}
	for (uint32_t uid = 0; uid < USERS; uid++)
		while (used[uid]-- > 0)
			budget_give(budget, uid);
	assert_int_equal(budget_used(budget), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
