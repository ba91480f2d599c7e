// SPDX-License-Identifier: LGPL-2.1-or-later
/* The request that a handle of libforkbus sends to the broker. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/allocations.h"
#include "tests/unit/fake-broker.h"
#include "tests/unit/support.h"

#define SUBSCRIBE_TO(_filter) \
	"{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":" _filter "},\"more\":true}"

static void all_that_is_asked_for_is_asked(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	assert_int_equal(forkbus_add_type(client, FORKBUS_TYPE_EXIT), 0);
	assert_int_equal(forkbus_add_type(client, FORKBUS_TYPE_FORK), 0);
	assert_int_equal(forkbus_add_pid(client, 7, 70), 0);
	assert_int_equal(forkbus_set_tree(client, 8, 80), 0);
	assert_int_equal(forkbus_add_uid(client, 1000), 0);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_COMM, "a*"), 0);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_COMM, "b?"), 0);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_EXE, "/x/*"), 0);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_CGROUP, "/y"), 0);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_UNIT, "z.service"), 0);
	assert_int_equal(forkbus_set_exits(client, FORKBUS_EXITS_SUCCESS), 0);
	assert_int_equal(forkbus_set_exits(client, 0), 0);
	assert_int_equal(forkbus_set_exits(client, FORKBUS_EXITS_FAILURE | FORKBUS_EXITS_SIGNAL), 0);
	assert_int_equal(forkbus_set_min_elapsed(client, 5), 0);
	assert_int_equal(forkbus_set_threads(client, true), 0);
	assert_int_equal(forkbus_set_snapshot(client, true), 0);
	assert_int_equal(forkbus_set_complete(client, true), 0);
	assert_int_equal(forkbus_set_since(client, CURSOR(5)), 0);
	assert_int_equal(forkbus_set_since(client, "-1h 30min"), 0);
	handle_started(client,
		       "{\"method\":\"org.forkbus1.Subscribe\",\"more\":true,\"parameters\":{\"filter\":{"
		       "\"types\":[\"exit\",\"fork\"],\"pids\":[{\"pid\":7,\"startUsec\":70}],"
		       "\"tree\":{\"pid\":8,\"startUsec\":80},\"uids\":[1000],\"comm\":[\"a*\",\"b?\"],"
		       "\"exe\":[\"/x/*\"],\"cgroup\":[\"/y\"],\"unit\":[\"z.service\"],"
		       "\"status\":[\"failure\",\"signal\"],\"minElapsedUsec\":5,\"threads\":true},"
		       "\"snapshot\":true,\"complete\":true,\"since\":\"-1h 30min\"}}");
	forkbus_free(client);
}

static void what_cannot_be_asked_for(void **state)
{
	struct forkbus *client, *none = NULL;
	char path[300];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(forkbus_new(&none, path, 0), -ENAMETOOLONG);
	assert_int_equal(forkbus_new(&none, NULL, 4), -EINVAL);
	assert_null(none);
	assert_null(forkbus_free(NULL));
	client = handle_open(0);
	assert_int_equal(forkbus_add_type(client, FORKBUS_TYPE_PROCESS), -EINVAL);
	assert_int_equal(forkbus_add_type(client, FORKBUS_TYPE_READY), -EINVAL);
	assert_int_equal(forkbus_add_type(client, 0), -EINVAL);
	assert_int_equal(forkbus_add_pid(client, 0, 0), -EINVAL);
	assert_int_equal(forkbus_add_pid(client, UINT32_MAX, 0), -EINVAL);
	assert_int_equal(forkbus_set_tree(client, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(forkbus_add_uid(client, UINT32_MAX), -EINVAL);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_TTY, "x"), -EINVAL);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_COMM, "\xff"), -EINVAL);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_COMM, "a["), -EINVAL);
	assert_true(strlen(forkbus_get_error(client)) > 0);
	assert_int_equal(forkbus_set_exits(client, 16), -EINVAL);
	assert_int_equal(forkbus_set_min_elapsed(client, UINT64_MAX), -EINVAL);
	assert_int_equal(forkbus_set_since(client, "yesterday"), -EINVAL);
	assert_int_equal(forkbus_set_since(client, "-5parsecs"), -EINVAL);
	assert_int_equal(forkbus_set_since(client, NULL), 0);
	for (uint32_t i = 0; i < 1024; i++) {
		assert_int_equal(forkbus_add_uid(client, i), 0);
		assert_int_equal(forkbus_add_pid(client, i + 1, 1), 0);
	}
	assert_int_equal(forkbus_add_uid(client, 5), -E2BIG);
	assert_int_equal(forkbus_add_pid(client, 5, 1), -E2BIG);
	forkbus_free(client);
}

static void a_filter_that_costs_too_much(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	for (int i = 0; i < 200; i++) {
		char pattern[16];

		snprintf(pattern, sizeof(pattern), "*%d*", i);
		assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_COMM, pattern), 0);
	}
	assert_null(forkbus_get_error(client));
	assert_int_equal(forkbus_start(client), -EINVAL);
	assert_non_null(strstr(forkbus_get_error(client), "comm"));
	forkbus_free(client);
}

static void a_filter_is_set_as_json(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	assert_int_equal(forkbus_add_uid(client, 5), 0);
	assert_int_equal(forkbus_add_pid(client, 6, 60), 0);
	assert_int_equal(forkbus_set_tree(client, 6, 60), 0);
	assert_int_equal(
		forkbus_set_filter(
			client,
			" { \"types\" : \"exit\", \"pids\" : {\"pid\":7,\"startUsec\":70},"
			"\"tree\":{\"pid\":8,\"startUsec\":80},\"uids\":[1000,1],\"comm\":\"a\\u00e9*\","
			"\"status\":\"any\",\"minElapsedUsec\":5,\"threads\":true }\n"),
		0);
	/* Setters add to it. */
	assert_int_equal(forkbus_add_type(client, FORKBUS_TYPE_FORK), 0);
	assert_int_equal(forkbus_add_pid(client, 9, 90), 0);
	assert_int_equal(forkbus_add_uid(client, 3), 0);
	assert_int_equal(forkbus_set_exits(client, 0), 0);
	handle_started(client,
		       SUBSCRIBE_TO("{\"types\":[\"exit\",\"fork\"],\"pids\":[{\"pid\":7,\"startUsec\":70},"
				    "{\"pid\":9,\"startUsec\":90}],\"tree\":{\"pid\":8,\"startUsec\":80},"
				    "\"uids\":[1,1000,3],\"comm\":[\"a\\u00e9*\"],\"minElapsedUsec\":5,"
				    "\"threads\":true}"));
	assert_int_equal(forkbus_set_filter(client, "{}"), -EBUSY);
	forkbus_free(client);
}

static void an_empty_filter_is_none(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	assert_int_equal(forkbus_add_uid(client, 5), 0);
	assert_int_equal(forkbus_add_pid(client, 6, 60), 0);
	assert_int_equal(forkbus_set_tree(client, 6, 60), 0);
	assert_int_equal(forkbus_set_filter(client, "{}"), 0);
	handle_started(client, SUBSCRIBE);
	forkbus_free(client);
}

/* The start time of a bare pid is looked up, as with the setters. */
static void bare_pids_of_a_filter(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	assert_int_equal(forkbus_set_filter(client, "{\"pids\":[7]}"), 0);
	handle_started(client, "{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":7}}");
	fake_say("{\"parameters\":{\"process\":{\"type\":\"process\",\"pid\":7,\"startUsec\":70}}}");
	assert_nothing(client);
	fake_expect(SUBSCRIBE_TO("{\"pids\":[{\"pid\":7,\"startUsec\":70}]}"));
	forkbus_free(client);
}

static void a_filter_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *filter, *reason;
	} cases[] = {
		{ "", "JSON" },
		{ "[]", "JSON" },
		{ "{} x", "JSON" },
		{ "{\"uids\":1,\"uids\":2}", "duplicate" },
		{ "{\"colour\":\"red\"}", "colour: " },
		{ "{\"types\":\"frok\"}", "types: " },
		{ "{\"pids\":[0]}", "pids: " },
		{ "{\"comm\":\"a[\"}", "comm: " },
		{ "{\"snapshot\":true}", "snapshot: " },
	};
	struct forkbus *client = handle_open(0);

	(void)state;
	assert_int_equal(forkbus_add_uid(client, 5), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(forkbus_set_filter(client, cases[i].filter), -EINVAL);
		assert_non_null(forkbus_get_error(client));
		assert_non_null(strstr(forkbus_get_error(client), cases[i].reason));
	}
	assert_int_equal(forkbus_set_since(client, "yesterday"), -EINVAL);
	assert_ptr_equal(strstr(forkbus_get_error(client), "since: "), forkbus_get_error(client));
	handle_started(client, SUBSCRIBE_TO("{\"uids\":[5]}"));
	forkbus_free(client);
}

static void a_filter_without_memory(void **state)
{
	static const char filter[] = "{\"types\":[\"exec\",\"exit\"],\"pids\":[{\"pid\":7,\"startUsec\":70}],"
				     "\"comm\":[\"a name that is longer than what a buffer has at first\"]}";
	unsigned long failed = 0;
	struct forkbus *client;
	char expected[300];
	long before;
	int r;

	(void)state;
	if (!allocations_can_fail())
		return;
	client = handle_open(0);
	assert_int_equal(forkbus_set_filter(client, filter), 0);
	before = allocations_held;
	do {
		allocations_until_failure = ++failed;
		r = forkbus_set_filter(client, filter);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(allocations_held_are(before));
	} while (allocations_until_failure == 0);
	allocations_until_failure = 0;
	assert_true(failed > 10);
	snprintf(expected, sizeof(expected), SUBSCRIBE_TO("%s"), filter);
	handle_started(client, expected);
	forkbus_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(all_that_is_asked_for_is_asked),    FAKE_TEST(what_cannot_be_asked_for),
		FAKE_TEST(a_filter_that_costs_too_much),      FAKE_TEST(a_filter_is_set_as_json),
		FAKE_TEST(an_empty_filter_is_none),	      FAKE_TEST(bare_pids_of_a_filter),
		FAKE_TEST(a_filter_is_refused_with_a_reason), FAKE_TEST(a_filter_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
