// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/budget.h"

static int setup(void **state)
{
	struct budget *budget;

	assert_int_equal(budget_new(&budget), 0);
	budget_set(budget, BUDGET_CONNECTIONS, 5, 2);
	*state = budget;
	return 0;
}

static int teardown(void **state)
{
	assert_null(budget_free(*state));
	return 0;
}

static int take(struct budget *budget, uint32_t uid)
{
	return budget_take(budget, uid, BUDGET_CONNECTIONS, 1);
}

static void give(struct budget *budget, uint32_t uid)
{
	budget_give(budget, uid, BUDGET_CONNECTIONS, 1);
}

static void test_limits(void **state)
{
	struct budget *budget = *state;

	assert_null(budget_free(NULL));
	assert_int_equal(take(budget, 7), 0);
	assert_int_equal(take(budget, 7), 0);
	assert_int_equal(take(budget, 7), BUDGET_E_USER);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 2);
	assert_int_equal(take(budget, 0), 0);
	assert_int_equal(take(budget, 0), 0);
	assert_int_equal(take(budget, 0), 0);
	assert_int_equal(take(budget, 0), BUDGET_E_TOTAL);
	assert_int_equal(take(budget, 8), BUDGET_E_TOTAL);
	assert_int_equal(take(budget, 7), BUDGET_E_USER);
	give(budget, 0);
	assert_int_equal(take(budget, 8), 0);
	give(budget, 7);
	assert_int_equal(take(budget, 7), 0);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 5);
}

static void test_set(void **state)
{
	struct budget *budget = *state;

	assert_int_equal(take(budget, 7), 0);
	assert_int_equal(take(budget, 7), 0);
	budget_set(budget, BUDGET_CONNECTIONS, 5, 1);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 2);
	give(budget, 7);
	assert_int_equal(take(budget, 7), BUDGET_E_USER);
	give(budget, 7);
	assert_int_equal(take(budget, 7), 0);
	budget_set(budget, BUDGET_CONNECTIONS, 0, 9);
	assert_int_equal(take(budget, 7), BUDGET_E_TOTAL);
	/* Resources that were not taken cannot be given back. */
	give(budget, 99);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 1);
}

/* Each resource is counted separately, with its own limits. */
static void test_resources(void **state)
{
	struct budget *budget = *state;

	budget_set(budget, BUDGET_PINGS, 10, 1);
	assert_int_equal(take(budget, 7), 0);
	assert_int_equal(take(budget, 7), 0);
	assert_int_equal(budget_take(budget, 7, BUDGET_PINGS, 1), 0);
	assert_int_equal(budget_take(budget, 7, BUDGET_PINGS, 1), BUDGET_E_USER);
	assert_int_equal(take(budget, 7), BUDGET_E_USER);
	/* No limit was set. */
	assert_int_equal(budget_take(budget, 7, BUDGET_QUERIES, UINT64_MAX), 0);
	assert_int_equal(budget_take(budget, 7, BUDGET_QUERIES, 1), BUDGET_E_USER);
	budget_give(budget, 7, BUDGET_QUERIES, UINT64_MAX);
	give(budget, 7);
	give(budget, 7);
	/* One resource given back leaves the user's others. */
	assert_int_equal(budget_used(budget, BUDGET_PINGS), 1);
	assert_int_equal(budget_take(budget, 7, BUDGET_PINGS, 1), BUDGET_E_USER);
	budget_give(budget, 7, BUDGET_PINGS, 1);
	assert_int_equal(budget_used(budget, BUDGET_PINGS), 0);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 0);
	assert_int_equal(budget_used(budget, BUDGET_QUERIES), 0);
}

/* Of a resource in bytes, the whole amount is taken or nothing. */
static void test_amounts(void **state)
{
	struct budget *budget = *state;

	budget_set(budget, BUDGET_CONNECTIONS, 1000, 600);
	assert_int_equal(budget_take(budget, 7, BUDGET_CONNECTIONS, 601), BUDGET_E_USER);
	assert_int_equal(budget_take(budget, 7, BUDGET_CONNECTIONS, 600), 0);
	assert_int_equal(budget_take(budget, 7, BUDGET_CONNECTIONS, 0), 0);
	assert_int_equal(budget_take(budget, 8, BUDGET_CONNECTIONS, 401), BUDGET_E_TOTAL);
	assert_int_equal(budget_take(budget, 8, BUDGET_CONNECTIONS, UINT64_MAX), BUDGET_E_USER);
	assert_int_equal(budget_take(budget, 0, BUDGET_CONNECTIONS, UINT64_MAX), BUDGET_E_TOTAL);
	assert_int_equal(budget_take(budget, 8, BUDGET_CONNECTIONS, 400), 0);
	/* No more than was taken. */
	budget_give(budget, 8, BUDGET_CONNECTIONS, 500);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 600);
	budget_give(budget, 7, BUDGET_CONNECTIONS, 1);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 599);
	budget_give(budget, 7, BUDGET_CONNECTIONS, 599);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 0);
}

/* Many users who come and go, compared with counters */
static void test_many(void **state)
{
	enum { USERS = 200, TOTAL = 1000, EACH = 10 };
	static unsigned int used[USERS];
	struct budget *budget = *state;
	unsigned int total = 0;

	budget_set(budget, BUDGET_CONNECTIONS, TOTAL, EACH);
	srandom(1);
	for (int op = 0; op < 50000; op++) {
		uint32_t uid = (uint32_t)random() % USERS;

		if (random() % 5 < 3) {
			int expected = uid != 0 && used[uid] >= EACH ? BUDGET_E_USER
				       : total >= TOTAL		     ? BUDGET_E_TOTAL
								     : 0;

			assert_int_equal(take(budget, uid), expected);
			used[uid] += expected == 0;
			total += expected == 0;
		} else if (used[uid] > 0) {
			give(budget, uid);
			used[uid]--;
			total--;
		}
		assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), total);
	}
	for (uint32_t uid = 0; uid < USERS; uid++)
		while (used[uid]-- > 0)
			give(budget, uid);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_amounts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
