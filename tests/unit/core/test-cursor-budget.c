// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a subscription takes from the account of its owner, and gives back.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log-format.h"
#include "tests/unit/stage.h"
#include "tests/unit/support.h"

static struct stage stage;
static struct budget *budget;
static struct budget_account *account;
static struct filter_error error;

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	stage_open(&stage, LOG_BLOCKS_MIN, 0, 1, 3);
	assert_int_equal(budget_new(&budget), 0);
	account = budget_account_get(budget, 1000, false);
	error = (struct filter_error){};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < _BUDGET_RESOURCE_MAX; i++)
		assert_int_equal(budget_used(budget, (enum budget_resource)i), 0);
	budget_account_put(account);
	budget_free(budget);
	stage_close(&stage);
	test_dir_remove();
	return 0;
}

static void wake(struct cursor *cursor)
{
	(void)cursor;
}

static int begin(struct cursor *cursor, const char *text)
{
	struct request request;
	int r;

	assert_int_equal(request_parse(&request, text, strlen(text), &error), 0);
	r = cursor_init(cursor, stage.hub, &request, SEE_ALL, account, &encoding_lines, wake, &error);
	request_done(&request);
	return r;
}

static void a_subscription_and_its_filter_are_counted(void **state)
{
	struct cursor small, large;

	(void)state;
	assert_int_equal(begin(&small, "{}"), 0);
	assert_int_equal(budget_taken(account, BUDGET_SUBSCRIPTIONS), 1);
	assert_int_equal(budget_taken(account, BUDGET_FILTER_BYTES), small.filter_size);
	assert_int_equal(begin(&large, "{\"exe\":[\"/bin/*\",\"/usr/bin/*\"]}"), 0);
	assert_true(large.filter_size > small.filter_size);
	assert_int_equal(budget_taken(account, BUDGET_SUBSCRIPTIONS), 2);
	cursor_done(&small);
	assert_int_equal(budget_taken(account, BUDGET_FILTER_BYTES), large.filter_size);
	cursor_done(&large);
}

static void what_is_too_much_is_refused_by_name(void **state)
{
	struct cursor first, second = {};

	(void)state;
	budget_set(budget, BUDGET_SUBSCRIPTIONS, 100, 1);
	assert_int_equal(begin(&first, "{}"), 0);
	assert_int_equal(begin(&second, "{}"), FILTER_E_INVALID);
	assert_string_equal(error.key, "subscriptions");
	assert_string_equal(error.detail,
			    "uid 1000 and its subordinate uids have their share of subscriptions");
	cursor_done(&second);
	budget_set(budget, BUDGET_SUBSCRIPTIONS, 100, 2);
	budget_set(budget, BUDGET_FILTER_BYTES, UINT64_MAX, first.filter_size + 100);
	assert_int_equal(begin(&second, "{\"types\":\"exit\"}"), FILTER_E_INVALID);
	assert_string_equal(error.key, "filterBytes");
	cursor_done(&second);
	assert_int_equal(budget_taken(account, BUDGET_SUBSCRIPTIONS), 1);
	cursor_done(&first);
	assert_int_equal(begin(&second, "{}"), 0);
	cursor_done(&second);
}

/* A request that fails for another reason has taken nothing. */
static void a_refused_request_gives_back(void **state)
{
	struct cursor cursor = {};

	(void)state;
	assert_int_equal(begin(&cursor, "{\"pids\":4000000}"), FILTER_E_INVALID);
	cursor_done(&cursor);
}

static void kept_bytes_are_counted(void **state)
{
	struct cursor cursor;
	const char *data;
	ssize_t n = -EAGAIN;

	(void)state;
	assert_int_equal(begin(&cursor, "{}"), 0);
	while (n == -EAGAIN)
		n = cursor_peek(&cursor, &data);
	assert_true(n > 0);
	assert_int_equal(budget_taken(account, BUDGET_CACHED_BYTES), n);
	assert_int_equal(cursor_sent(&cursor, (size_t)n - 1), 0);
	assert_int_equal(budget_taken(account, BUDGET_CACHED_BYTES), n);
	assert_int_equal(cursor_sent(&cursor, 1), 0);
	assert_int_equal(budget_taken(account, BUDGET_CACHED_BYTES), 0);
	/* The rest of a line that was begun */
	stage_run(&stage, 2, 1);
	while ((n = cursor_peek(&cursor, &data)) == -EAGAIN)
		;
	assert_int_equal(cursor_sent(&cursor, 1), 0);
	assert_true(budget_taken(account, BUDGET_CACHED_BYTES) > 10);
	cursor_done(&cursor);
}

static void without_room_for_kept_bytes_a_subscriber_ends(void **state)
{
	struct cursor cursor;
	const char *data;
	ssize_t n = -EAGAIN;

	(void)state;
	budget_set(budget, BUDGET_CACHED_BYTES, UINT64_MAX, 10);
	assert_int_equal(begin(&cursor, "{}"), 0);
	while (n == -EAGAIN)
		n = cursor_peek(&cursor, &data);
	assert_int_equal(n, -EDQUOT);
	cursor_done(&cursor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_subscription_and_its_filter_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_too_much_is_refused_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_request_gives_back, setup, teardown),
		cmocka_unit_test_setup_teardown(kept_bytes_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(without_room_for_kept_bytes_a_subscriber_ends, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
