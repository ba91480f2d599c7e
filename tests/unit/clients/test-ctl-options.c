// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clients/ctl/options.h"

struct given {
	int option;
	const char *value;
};

#define GIVEN(...)              \
	(const struct given[])  \
	{                       \
		__VA_ARGS__,    \
		{               \
			0, NULL \
		}               \
	}

static void assert_request(const struct given *given, const char *expected)
{
	json_t *request = json_object(), *wanted = json_loads(expected, 0, NULL);
	struct filter_error error = {};

	assert_non_null(wanted);
	for (; given->option != 0; given++)
		assert_int_equal(options_take(request, given->option, given->value, &error), 0);
	if (!json_equal(request, wanted)) {
		char *got = json_dumps(request, 0);

		print_error("got %s, not %s\n", got, expected);
		free(got);
		fail();
	}
	json_decref(request);
	json_decref(wanted);
}

static void assert_refused(int option, const char *value, const char *key, const char *part)
{
	json_t *request = json_object();
	struct filter_error error = {};

	assert_int_equal(options_take(request, option, value, &error), OPTIONS_E_INVALID);
	assert_string_equal(error.key, key);
	assert_non_null(strstr(error.detail, part));
	json_decref(request);
}

static void test_lists(void **state)
{
	(void)state;
	assert_request(GIVEN({ FILTER_OPTION_TYPE, "fork" }), "{\"types\":[\"fork\"]}");
	assert_request(GIVEN({ FILTER_OPTION_TYPE, "fork,exec" }, { FILTER_OPTION_TYPE, "exit" }),
		       "{\"types\":[\"fork\",\"exec\",\"exit\"]}");
	assert_request(GIVEN({ FILTER_OPTION_STATUS, "failure,signal" }),
		       "{\"status\":[\"failure\",\"signal\"]}");
	assert_request(GIVEN({ FILTER_OPTION_COMM, "cc*" }, { FILTER_OPTION_EXE, "/usr/*" },
			     { FILTER_OPTION_CGROUP, "/user.slice/*" }, { FILTER_OPTION_UNIT, "*.service" }),
		       "{\"comm\":[\"cc*\"],\"exe\":[\"/usr/*\"],\"cgroup\":[\"/user.slice/*\"],"
		       "\"unit\":[\"*.service\"]}");
}

/* The backslash is kept: it has the same meaning in a pattern. */
static void test_protected_comma(void **state)
{
	(void)state;
	assert_request(GIVEN({ FILTER_OPTION_COMM, "a\\,b,c" }), "{\"comm\":[\"a\\\\,b\",\"c\"]}");
	assert_request(GIVEN({ FILTER_OPTION_COMM, "a\\\\,b" }), "{\"comm\":[\"a\\\\\\\\\",\"b\"]}");
	assert_request(GIVEN({ FILTER_OPTION_COMM, "a\\" }), "{\"comm\":[\"a\\\\\"]}");
}

static void test_processes(void **state)
{
	(void)state;
	assert_request(GIVEN({ FILTER_OPTION_PID, "1,4711@123456" }),
		       "{\"pids\":[1,{\"pid\":4711,\"startUsec\":123456}]}");
	assert_request(GIVEN({ FILTER_OPTION_TREE, "4711" }), "{\"tree\":4711}");
	assert_request(GIVEN({ FILTER_OPTION_TREE, "4711@5" }), "{\"tree\":{\"pid\":4711,\"startUsec\":5}}");
}

static void test_users(void **state)
{
	(void)state;
	assert_request(GIVEN({ FILTER_OPTION_UID, "root,1000,4294967295" }),
		       "{\"uids\":[0,1000,4294967295]}");
	assert_refused(FILTER_OPTION_UID, "no such user", "--uid", "'no such user' is not a user");
	assert_refused(FILTER_OPTION_UID, "4294967296", "--uid", "not a user");
	assert_refused(FILTER_OPTION_UID, "-1", "--uid", "not a user");
}

static void test_single(void **state)
{
	(void)state;
	assert_request(GIVEN({ FILTER_OPTION_MIN_ELAPSED, "1h 30min" }), "{\"minElapsedUsec\":5400000000}");
	assert_request(GIVEN({ FILTER_OPTION_SINCE, "-5min" }), "{\"since\":\"-5min\"}");
	assert_request(GIVEN({ FILTER_OPTION_THREADS, NULL }, { FILTER_OPTION_THREADS, NULL },
			     { FILTER_OPTION_SNAPSHOT, NULL }),
		       "{\"threads\":true,\"snapshot\":true}");
}

static void test_refused(void **state)
{
	(void)state;
	assert_refused(FILTER_OPTION_TYPE, "", "--type", "empty");
	assert_refused(FILTER_OPTION_TYPE, "fork,", "--type", "'fork,' has an empty item");
	assert_refused(FILTER_OPTION_TYPE, ",fork", "--type", "empty");
	assert_refused(FILTER_OPTION_TYPE, "caf\xe9", "--type", "UTF-8");
	assert_refused(FILTER_OPTION_PID, "0", "--pid", "PID@STARTUSEC");
	assert_refused(FILTER_OPTION_PID, "-1", "--pid", "PID@STARTUSEC");
	assert_refused(FILTER_OPTION_PID, "1x", "--pid", "PID@STARTUSEC");
	assert_refused(FILTER_OPTION_PID, "1@", "--pid", "PID@STARTUSEC");
	assert_refused(FILTER_OPTION_PID, "99999999999999999999", "--pid", "PID@STARTUSEC");
	assert_refused(FILTER_OPTION_TREE, "1,2", "--tree", "PID@STARTUSEC");
	assert_refused(FILTER_OPTION_MIN_ELAPSED, "long", "--min-elapsed", "time span");
}

static void test_twice(void **state)
{
	json_t *request = json_object();
	struct filter_error error = {};

	(void)state;
	assert_int_equal(options_take(request, FILTER_OPTION_TREE, "1", &error), 0);
	assert_int_equal(options_take(request, FILTER_OPTION_TREE, "2", &error), OPTIONS_E_INVALID);
	assert_string_equal(error.key, "--tree");
	json_decref(request);
}

static void test_other(void **state)
{
	json_t *request = json_object();
	struct filter_error error = {};

	(void)state;
	assert_int_equal(options_take(request, 'h', NULL, &error), OPTIONS_E_OTHER);
	assert_int_equal(options_take(request, CTL_OPTION_JSON, "off", &error), OPTIONS_E_OTHER);
	assert_int_equal(json_object_size(request), 0);
	json_decref(request);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(option_of_key("types"), "--type");
	assert_string_equal(option_of_key("minElapsedUsec"), "--min-elapsed");
	assert_null(option_of_key("nothing"));
	assert_null(option_of_key(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),	  cmocka_unit_test(test_protected_comma),
		cmocka_unit_test(test_processes), cmocka_unit_test(test_users),
		cmocka_unit_test(test_single),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_twice),	  cmocka_unit_test(test_other),
		cmocka_unit_test(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ctl-options", tests, NULL, NULL);
}
