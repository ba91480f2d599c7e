// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a handle of libforkbus asks the broker for. */
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
	struct forkbus *bus = bus_open(0);

	(void)state;
	assert_int_equal(forkbus_add_type(bus, FORKBUS_TYPE_EXIT), 0);
	assert_int_equal(forkbus_add_type(bus, FORKBUS_TYPE_FORK), 0);
	assert_int_equal(forkbus_add_pid(bus, 7, 70), 0);
	assert_int_equal(forkbus_set_tree(bus, 8, 80), 0);
	assert_int_equal(forkbus_add_uid(bus, 1000), 0);
	assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_COMM, "a*"), 0);
	assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_COMM, "b?"), 0);
	assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_EXE, "/x/*"), 0);
	assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_CGROUP, "/y"), 0);
	assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_UNIT, "z.service"), 0);
	assert_int_equal(forkbus_set_exits(bus, FORKBUS_EXITS_SUCCESS), 0);
	assert_int_equal(forkbus_set_exits(bus, 0), 0);
	assert_int_equal(forkbus_set_exits(bus, FORKBUS_EXITS_FAILURE | FORKBUS_EXITS_SIGNAL), 0);
	assert_int_equal(forkbus_set_min_elapsed(bus, 5), 0);
	assert_int_equal(forkbus_set_threads(bus, true), 0);
	assert_int_equal(forkbus_set_snapshot(bus, true), 0);
	assert_int_equal(forkbus_set_complete(bus, true), 0);
	assert_int_equal(forkbus_set_since(bus, CURSOR(5)), 0);
	assert_int_equal(forkbus_set_since(bus, "-1h 30min"), 0);
	bus_started(bus, "{\"method\":\"org.forkbus1.Subscribe\",\"more\":true,\"parameters\":{\"filter\":{"
			 "\"types\":[\"exit\",\"fork\"],\"pids\":[{\"pid\":7,\"startUsec\":70}],"
			 "\"tree\":{\"pid\":8,\"startUsec\":80},\"uids\":[1000],\"comm\":[\"a*\",\"b?\"],"
			 "\"exe\":[\"/x/*\"],\"cgroup\":[\"/y\"],\"unit\":[\"z.service\"],"
			 "\"status\":[\"failure\",\"signal\"],\"minElapsedUsec\":5,\"threads\":true},"
			 "\"snapshot\":true,\"complete\":true,\"since\":\"-1h 30min\"}}");
	forkbus_free(bus);
}

static void what_cannot_be_asked_for(void **state)
{
	struct forkbus *bus, *none = NULL;
	char path[300];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(forkbus_new(&none, path, 0), -ENAMETOOLONG);
	assert_int_equal(forkbus_new(&none, NULL, 4), -EINVAL);
	assert_null(none);
	assert_null(forkbus_free(NULL));
	bus = bus_open(0);
	assert_int_equal(forkbus_add_type(bus, FORKBUS_TYPE_PROCESS), -EINVAL);
	assert_int_equal(forkbus_add_type(bus, FORKBUS_TYPE_READY), -EINVAL);
	assert_int_equal(forkbus_add_type(bus, 0), -EINVAL);
	assert_int_equal(forkbus_add_pid(bus, 0, 0), -EINVAL);
	assert_int_equal(forkbus_add_pid(bus, UINT32_MAX, 0), -EINVAL);
	assert_int_equal(forkbus_set_tree(bus, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(forkbus_add_uid(bus, UINT32_MAX), -EINVAL);
	assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_TTY, "x"), -EINVAL);
	assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_COMM, "\xff"), -EINVAL);
	assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_COMM, "a["), -EINVAL);
	assert_true(strlen(forkbus_get_error(bus)) > 0);
	assert_int_equal(forkbus_set_exits(bus, 16), -EINVAL);
	assert_int_equal(forkbus_set_min_elapsed(bus, UINT64_MAX), -EINVAL);
	assert_int_equal(forkbus_set_since(bus, "yesterday"), -EINVAL);
	assert_int_equal(forkbus_set_since(bus, "-5parsecs"), -EINVAL);
	assert_int_equal(forkbus_set_since(bus, NULL), 0);
	for (uint32_t i = 0; i < 1024; i++) {
		assert_int_equal(forkbus_add_uid(bus, i), 0);
		assert_int_equal(forkbus_add_pid(bus, i + 1, 1), 0);
	}
	assert_int_equal(forkbus_add_uid(bus, 5), -E2BIG);
	assert_int_equal(forkbus_add_pid(bus, 5, 1), -E2BIG);
	forkbus_free(bus);
}

static void a_filter_that_costs_too_much(void **state)
{
	struct forkbus *bus = bus_open(0);

	(void)state;
	for (int i = 0; i < 200; i++) {
		char pattern[16];

		snprintf(pattern, sizeof(pattern), "*%d*", i);
		assert_int_equal(forkbus_add_glob(bus, FORKBUS_FIELD_COMM, pattern), 0);
	}
	assert_null(forkbus_get_error(bus));
	assert_int_equal(forkbus_start(bus), -EINVAL);
	assert_non_null(strstr(forkbus_get_error(bus), "comm"));
	forkbus_free(bus);
}

static void a_filter_is_set_as_json(void **state)
{
	struct forkbus *bus = bus_open(0);

	(void)state;
	assert_int_equal(forkbus_add_uid(bus, 5), 0);
	assert_int_equal(forkbus_add_pid(bus, 6, 60), 0);
	assert_int_equal(forkbus_set_tree(bus, 6, 60), 0);
	assert_int_equal(
		forkbus_set_filter(
			bus, " { \"types\" : \"exit\", \"pids\" : {\"pid\":7,\"startUsec\":70},"
			     "\"tree\":{\"pid\":8,\"startUsec\":80},\"uids\":[1000,1],\"comm\":\"a\\u00e9*\","
			     "\"status\":\"any\",\"minElapsedUsec\":5,\"threads\":true }\n"),
		0);
	/* Setters add to it. */
	assert_int_equal(forkbus_add_type(bus, FORKBUS_TYPE_FORK), 0);
	assert_int_equal(forkbus_add_pid(bus, 9, 90), 0);
	assert_int_equal(forkbus_add_uid(bus, 3), 0);
	assert_int_equal(forkbus_set_exits(bus, 0), 0);
	bus_started(bus, SUBSCRIBE_TO("{\"types\":[\"exit\",\"fork\"],\"pids\":[{\"pid\":7,\"startUsec\":70},"
				      "{\"pid\":9,\"startUsec\":90}],\"tree\":{\"pid\":8,\"startUsec\":80},"
				      "\"uids\":[1,1000,3],\"comm\":[\"a\\u00e9*\"],\"minElapsedUsec\":5,"
				      "\"threads\":true}"));
	assert_int_equal(forkbus_set_filter(bus, "{}"), -EBUSY);
	forkbus_free(bus);
}

static void an_empty_filter_is_none(void **state)
{
	struct forkbus *bus = bus_open(0);

	(void)state;
	assert_int_equal(forkbus_add_uid(bus, 5), 0);
	assert_int_equal(forkbus_add_pid(bus, 6, 60), 0);
	assert_int_equal(forkbus_set_tree(bus, 6, 60), 0);
	assert_int_equal(forkbus_set_filter(bus, "{}"), 0);
	bus_started(bus, SUBSCRIBE);
	forkbus_free(bus);
}

/* The process that has the pid is asked for, as with the setters. */
static void bare_pids_of_a_filter(void **state)
{
	struct forkbus *bus = bus_open(0);

	(void)state;
	assert_int_equal(forkbus_set_filter(bus, "{\"pids\":[7]}"), 0);
	bus_started(bus, "{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":7}}");
	fake_say("{\"parameters\":{\"process\":{\"type\":\"process\",\"pid\":7,\"startUsec\":70}}}");
	assert_nothing(bus);
	fake_expect(SUBSCRIBE_TO("{\"pids\":[{\"pid\":7,\"startUsec\":70}]}"));
	forkbus_free(bus);
}

static void a_filter_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *filter, *reason;
	} cases[] = {
		{ "", "JSON" },
		{ "[]", "JSON" },
		{ "{} x", "JSON" },
		{ "{\"uids\":1,\"uids\":2}", "twice" },
		{ "{\"colour\":\"red\"}", "colour: " },
		{ "{\"types\":\"frok\"}", "types: " },
		{ "{\"pids\":[0]}", "pids: " },
		{ "{\"comm\":\"a[\"}", "comm: " },
		{ "{\"snapshot\":true}", "snapshot: " },
	};
	struct forkbus *bus = bus_open(0);

	(void)state;
	assert_int_equal(forkbus_add_uid(bus, 5), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(forkbus_set_filter(bus, cases[i].filter), -EINVAL);
		assert_non_null(forkbus_get_error(bus));
		assert_non_null(strstr(forkbus_get_error(bus), cases[i].reason));
	}
	assert_int_equal(forkbus_set_since(bus, "yesterday"), -EINVAL);
	assert_ptr_equal(strstr(forkbus_get_error(bus), "since: "), forkbus_get_error(bus));
	bus_started(bus, SUBSCRIBE_TO("{\"uids\":[5]}"));
	forkbus_free(bus);
}

static void a_filter_without_memory(void **state)
{
	static const char filter[] = "{\"types\":[\"exec\",\"exit\"],\"pids\":[{\"pid\":7,\"startUsec\":70}],"
				     "\"comm\":[\"a name that is longer than what a buffer has at first\"]}";
	unsigned long failed = 0;
	struct forkbus *bus;
	char expected[300];
	long before;
	int r;

	(void)state;
	if (!allocations_can_fail())
		return;
	bus = bus_open(0);
	assert_int_equal(forkbus_set_filter(bus, filter), 0);
	before = allocations_held;
	do {
		allocations_until_failure = ++failed;
		r = forkbus_set_filter(bus, filter);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(allocations_held_are(before));
	} while (allocations_until_failure == 0);
	allocations_until_failure = 0;
	assert_true(failed > 10);
	snprintf(expected, sizeof(expected), SUBSCRIBE_TO("%s"), filter);
	bus_started(bus, expected);
	forkbus_free(bus);
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
