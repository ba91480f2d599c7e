// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "core/budget.h"
#include "core/owners.h"
#include "core/priority.h"

#define TOTAL 4096
#define PART  7 /* 1/512 of 7/8 of it */

static int setup(void **state)
{
	struct budget *budget;

	assert_int_equal(budget_new(&budget), 0);
	budget_set(budget, BUDGET_CONNECTIONS, TOTAL, UINT64_MAX);
	*state = budget;
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(budget_used(*state, BUDGET_CONNECTIONS), 0);
	assert_null(budget_free(*state));
	return 0;
}

static int take(struct budget_account *account, uint64_t n)
{
	return budget_take(account, BUDGET_CONNECTIONS, n);
}

/* Return: how many it could take, one after the other. */
static unsigned int take_all(struct budget_account *account)
{
	unsigned int n = 0;

	while (take(account, 1) == 0)
		n++;
	return n;
}

static void an_account_takes_and_gives(void **state)
{
	struct budget_account *account = budget_account_get(*state, 7, false), *same;

	assert_null(budget_free(NULL));
	assert_null(budget_account_put(NULL));
	assert_int_equal(take(NULL, 5), 0);
	budget_give(NULL, BUDGET_CONNECTIONS, 5);
	assert_int_equal(take(account, 5), 0);
	assert_int_equal(take(account, 0), 0);
	same = budget_account_get(*state, 7, false);
	assert_ptr_equal(same, account);
	assert_int_equal(budget_taken(same, BUDGET_CONNECTIONS), 5);
	budget_give(account, BUDGET_CONNECTIONS, 2);
	assert_int_equal(budget_used(*state, BUDGET_CONNECTIONS), 3);
	budget_account_put(same);
	/* Never below nothing. */
	budget_give(account, BUDGET_CONNECTIONS, 100);
	assert_int_equal(budget_used(*state, BUDGET_CONNECTIONS), 0);
	/* What an account still has goes with it. */
	assert_int_equal(take(account, 3), 0);
	assert_null(budget_account_put(account));
}

static void a_limit_of_an_owner_does_not_count_for_root(void **state)
{
	struct budget_account *user = budget_account_get(*state, 7, false);
	struct budget_account *member = budget_account_get(*state, 7, true);
	struct budget_account *root = budget_account_get(*state, 0, true);

	budget_set(*state, BUDGET_CONNECTIONS, TOTAL, 20);
	assert_int_equal(take_all(user), 20);
	assert_int_equal(take(user, 1), BUDGET_E_USER);
	assert_int_equal(take_all(member), 20);
	assert_int_equal(take_all(root), TOTAL - 40);
	assert_int_equal(take(root, 1), BUDGET_E_TOTAL);
	budget_account_put(user);
	budget_account_put(member);
	budget_account_put(root);
}

static void later_limits_count_from_then_on(void **state)
{
	struct budget_account *user = budget_account_get(*state, 7, false);

	assert_int_equal(take(user, 300), 0);
	budget_set(*state, BUDGET_CONNECTIONS, 16, UINT64_MAX);
	assert_int_not_equal(take(user, 1), 0);
	budget_give(user, BUDGET_CONNECTIONS, 299);
	assert_int_equal(take(user, 1), 0);
	budget_set(*state, BUDGET_CONNECTIONS, UINT64_MAX, UINT64_MAX);
	assert_int_equal(take(user, UINT32_MAX), 0);
	budget_set(*state, BUDGET_CONNECTIONS, 0, 0);
	assert_int_not_equal(take(user, 1), 0);
	budget_account_put(user);
}

/* Each of 256 owners takes what it can get: even the last has its part, and the reserve is untouched. */
static void many_owners_do_not_shut_out_others(void **state)
{
	struct budget_account *owners[256], *root, *member;
	unsigned int got, least = UINT32_MAX, sum = 0;

	for (unsigned int i = 0; i < 256; i++) {
		owners[i] = budget_account_get(*state, 1000 + i, false);
		got = take_all(owners[i]);
		least = got < least ? got : least;
		sum += got;
		if (i == 0)
			assert_int_equal(got, PART + (TOTAL - TOTAL / 8) / 4);
	}
	assert_true(least >= PART);
	assert_true(sum <= TOTAL - TOTAL / 8);
	root = budget_account_get(*state, 0, true);
	member = budget_account_get(*state, 1000, true);
	assert_true(take_all(member) >= TOTAL / 8 / 4);
	assert_true(take_all(root) >= TOTAL / 8 / 4);
	for (unsigned int i = 0; i < 256; i++)
		budget_account_put(owners[i]);
	budget_account_put(root);
	budget_account_put(member);
}

static void small_totals_have_a_reserve_too(void **state)
{
	struct budget_account *user = budget_account_get(*state, 7, false);
	struct budget_account *member = budget_account_get(*state, 8, true);
	struct budget_account *root = budget_account_get(*state, 0, true);

	for (unsigned int total = 2; total < 40; total++) {
		budget_set(*state, BUDGET_CONNECTIONS, total, UINT64_MAX);
		assert_true(take_all(user) >= 1);
		assert_true(take_all(member) >= 1);
		if (total >= 16)
			assert_true(take_all(root) >= 1);
		budget_give(user, BUDGET_CONNECTIONS, total);
		budget_give(member, BUDGET_CONNECTIONS, total);
		budget_give(root, BUDGET_CONNECTIONS, total);
	}
	budget_account_put(user);
	budget_account_put(member);
	budget_account_put(root);
}

/* Random owners take and give; after each step, the promises hold. */
static void the_promises_hold_in_any_order(void **state)
{
	enum { OWNERS = 256, MEMBERS = 4, STEPS = 200000 };
	struct budget_account *accounts[OWNERS + MEMBERS], *root = budget_account_get(*state, 0, true);
	unsigned int seed = (unsigned int)getpid();

	printf("seed %u\n", seed);
	srand(seed);
	for (unsigned int i = 0; i < OWNERS + MEMBERS; i++)
		accounts[i] = budget_account_get(*state, 1000 + i, i >= OWNERS);
	for (unsigned int step = 0; step < STEPS; step++) {
		struct budget_account *account = accounts[(unsigned int)rand() % (OWNERS + MEMBERS)];
		uint64_t n = (uint64_t)rand() % (rand() % 8 == 0 ? 600 : 9), had;

		if (rand() % 4 == 0)
			budget_give(account, BUDGET_CONNECTIONS, n);
		else
			(void)take(account, n);
		account = accounts[(unsigned int)rand() % OWNERS];
		had = budget_taken(account, BUDGET_CONNECTIONS);
		if (had < PART) {
			assert_int_equal(take(account, PART - had), 0);
			budget_give(account, BUDGET_CONNECTIONS, PART - had);
		}
		assert_int_equal(take(root, TOTAL / 8 / 4), 0);
		budget_give(root, BUDGET_CONNECTIONS, TOTAL);
	}
	for (unsigned int i = 0; i < OWNERS + MEMBERS; i++)
		budget_account_put(accounts[i]);
	budget_account_put(root);
}

static void processor_time_is_made_up_for_by_waiting(void **state)
{
	struct budget_account *account = budget_account_get(*state, 7, false);

	budget_spend(account, 1000000, 0);
	assert_int_equal(budget_wait(account, 0), 0); /* no limit yet */
	budget_set_time(*state, 25, 400000);
	assert_int_equal(budget_wait(account, 0), 2400000);
	assert_int_equal(budget_priority(account, 0), PRIORITY_LATE);
	assert_int_equal(budget_wait(account, 2400000), 0);
	assert_int_equal(budget_priority(account, 2400000), PRIORITY_REQUEST);
	budget_spend(account, 100, 2400000);
	assert_int_equal(budget_wait(account, 2400000), 400);
	assert_int_equal(budget_wait(account, 1000), 400);
	assert_int_equal(budget_wait(account, UINT64_MAX / 2), 0);
	assert_int_equal(budget_wait(NULL, 0), 0);
	budget_spend(NULL, 1, 1);
	budget_account_put(account);
}

static void subordinate_uids_count_with_their_owner(void **state)
{
	char path[] = "/tmp/test-budget-XXXXXX", text[BUDGET_TEXT_MAX];
	_cleanup_close_ int fd = mkstemp(path);
	struct budget_account *one, *other, *owner, *stranger;
	struct owners *owners;

	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "1000:100000:65536\n"), 18);
	assert_int_equal(owners_new(&owners, path, "/dev/null"), 0);
	budget_set_owners(*state, owners);
	budget_set(*state, BUDGET_CONNECTIONS, TOTAL, 20);
	one = budget_account_get(*state, 100000, false);
	other = budget_account_get(*state, 165535, false);
	owner = budget_account_get(*state, 1000, false);
	stranger = budget_account_get(*state, 165536, false);
	assert_ptr_equal(one, other);
	assert_ptr_equal(one, owner);
	assert_ptr_not_equal(one, stranger);
	assert_int_equal(take(one, 20), 0);
	assert_int_equal(take(owner, 1), BUDGET_E_USER);
	assert_int_equal(take(stranger, 1), 0);
	assert_string_equal(budget_refusal(text, other, BUDGET_CONNECTIONS, BUDGET_E_USER),
			    "uid 1000 and its subordinate uids have their share of connections");
	assert_string_equal(budget_refusal(text, other, BUDGET_FILTER_BYTES, BUDGET_E_TOTAL),
			    "all bytes of filters that users may have together are in use");
	budget_account_put(one);
	budget_account_put(other);
	budget_account_put(owner);
	budget_account_put(stranger);
	budget_set_owners(*state, NULL);
	owners_free(owners);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_account_takes_and_gives, setup, teardown),
		cmocka_unit_test_setup_teardown(a_limit_of_an_owner_does_not_count_for_root, setup, teardown),
		cmocka_unit_test_setup_teardown(later_limits_count_from_then_on, setup, teardown),
		cmocka_unit_test_setup_teardown(many_owners_do_not_shut_out_others, setup, teardown),
		cmocka_unit_test_setup_teardown(small_totals_have_a_reserve_too, setup, teardown),
		cmocka_unit_test_setup_teardown(the_promises_hold_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(processor_time_is_made_up_for_by_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(subordinate_uids_count_with_their_owner, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
