// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "request.h"
#include "tests/unit/allocations.h"
#include "tests/unit/random-event.h"

#define SEC UINT64_C(1000000)

/* Parse from memory of exactly @len bytes, so that the sanitizer detects a read beyond it. */
static int parse_bytes(struct request *request, const char *line, size_t len, struct filter_error *error)
{
	char *exact = calloc(1, len ? len : 1);
	int r;

	if (len > 0)
		memcpy(exact, line, len);
	r = request_parse(request, exact, len, error);
	free(exact);
	return r;
}

static void parse(struct request *request, const char *line)
{
	struct filter_error error;

	memset(request, 0x5a, sizeof(*request));
	if (parse_bytes(request, line, strlen(line), &error) != 0)
		fail_msg("%s: %s: %s", line, error.key, error.detail);
}

static void assert_filter(const struct request *request, const char *expected)
{
	char *printed = filter_print(request->filter);

	assert_string_equal(printed, expected);
	free(printed);
}

static void assert_refused_bytes(const char *line, size_t len, const char *key, const char *detail)
{
	struct request request = { .seq = 77 };
	struct filter_error error;
	size_t n;

	memset(&error, 0x5a, sizeof(error));
	if (parse_bytes(&request, line, len, &error) != FILTER_E_INVALID)
		fail_msg("taken: %s", line);
	assert_int_equal(request.seq, 77);
	assert_null(request.filter);
	assert_string_equal(error.key, key);
	if (!strstr(error.detail, detail))
		fail_msg("%.80s: \"%s\" does not contain \"%s\"", line, error.detail, detail);
	for (size_t at = 0; at < strlen(error.detail); at += n)
		assert_int_not_equal(n = utf8_sequence(error.detail + at, strlen(error.detail + at)), 0);
}

static void assert_refused(const char *line, const char *key, const char *detail)
{
	assert_refused_bytes(line, strlen(line), key, detail);
}

static void nothing_is_everything_from_now(void **state)
{
	static const char *const lines[] = { "", " ", "\r", "\t \r\n", "{}", " { } \r" };
	struct request request;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		parse(&request, lines[i]);
		assert_int_equal(request.query, REQUEST_SUBSCRIBE);
		assert_false(request.snapshot);
		assert_int_equal(request.since, REQUEST_SINCE_NOW);
		assert_filter(&request, "{}");
		request_done(&request);
	}
}

static void keys_stand_beside_the_filters(void **state)
{
	struct request request;

	(void)state;
	parse(&request,
	      "{\"since\":\"00000000deadbeef:42\",\"types\":[\"exit\"],\"snapshot\":true,\"uids\":1000}");
	assert_int_equal(request.query, REQUEST_SUBSCRIBE);
	assert_true(request.snapshot);
	assert_int_equal(request.since, REQUEST_SINCE_CURSOR);
	assert_int_equal(request.epoch, 0xdeadbeef);
	assert_int_equal(request.seq, 42);
	assert_filter(&request, "{\"types\":[\"exit\"],\"uids\":[1000]}");
	request_done(&request);
	assert_null(request.filter);
	request_done(&request);

	parse(&request, "{\"snapshot\":false,\"since\":\"-5min\"}");
	assert_false(request.snapshot);
	assert_int_equal(request.since, REQUEST_SINCE_TIME);
	assert_int_equal(request.ago_usec, 300 * SEC);
	assert_filter(&request, "{}");
	request_done(&request);

	parse(&request, "{\"since\":\"-0\"}");
	assert_int_equal(request.since, REQUEST_SINCE_TIME);
	assert_int_equal(request.ago_usec, 0);
	request_done(&request);
}

static void a_query_stands_alone(void **state)
{
	struct request request;

	(void)state;
	parse(&request, "{\"query\":\"status\"}");
	assert_int_equal(request.query, REQUEST_STATUS);
	assert_null(request.filter);
	request_done(&request);
	assert_refused("{\"query\":\"status\",\"types\":\"exit\"}", "query", "alone");
	assert_refused("{\"snapshot\":false,\"query\":\"status\"}", "query", "alone");
	assert_refused("{\"query\":\"status\",\"foo\":1}", "query", "alone");
	assert_refused("{\"query\":\"foo\"}", "query", "\"status\"");
	assert_refused("{\"query\":\"status\\u0000\"}", "query", "\"status\"");
	assert_refused("{\"query\":true}", "query", "\"status\"");
	assert_refused("{\"query\":null}", "query", "\"status\"");
	assert_refused("{\"query\":{}}", "query", "\"status\"");
}

static void bad_keys_are_named(void **state)
{
	(void)state;
	assert_refused("{\"type\":\"exit\"}", "type", "snapshot, since, query, types, pids");
	/* jansson shares one value for all occurrences of true. */
	assert_refused("{\"snapshot\":true,\"foo\":true}", "foo", "known");
	assert_refused("{\"snapshot\":1}", "snapshot", "true or false");
	assert_refused("{\"snapshot\":null}", "snapshot", "true or false");
	assert_refused("{\"snapshot\":\"true\"}", "snapshot", "true or false");
	assert_refused("{\"types\":\"foo\"}", "types", "foo");
	assert_refused("{\"comm\":\"a\\u0000b\"}", "comm", "NUL");
	assert_refused("{\"uids\":[1],\"since\":\"-1h\",\"pids\":\"x\"}", "pids", "integer");
	/* A key that is too long for the message is cut, here within a character. */
	assert_refused("{\"0123456789012345678901234567890123456789012345678901234567890\xe2\x82\xac\xe2\x82"
		       "\xac\":1}",
		       "0123456789012345678901234567890123456789012345678901234567890??", "known");
}

static void bad_since_is_explained(void **state)
{
	static const char *const values[] = {
		"7",
		"null",
		"true",
		"[]",
		"{}",
		"\"\"",
		"\"-\"",
		"\"- \"",
		"\"5min\"",
		"\"now\"",
		"\"--5min\"",
		"\"-5x\"",
		"\"-5min 3\"",
		"\"-5min\\u0000\"",
		"\"yesterday\"",
		"\"2024-01-01\"",
		"\"00000000deadbeef\"",
		"\"00000000deadbeef:\"",
		"\"00000000DEADBEEF:1\"",
		"\"0000000deadbeef:1\"",
		"\"000000000deadbeef:1\"",
		"\"00000000deadbeef:01\"",
		"\"00000000deadbeef:-1\"",
		"\"00000000deadbeef: 1\"",
		"\"00000000deadbeef:1 \"",
		"\" 00000000deadbeef:1\"",
		"\"00000000deadbeef:0x1\"",
		"\"00000000deadbeef:18446744073709551616\"",
		"\"00000000deadbeef:1\\u0000\"",
		"\"0x000000deadbeef:1\"",
		"\"+0000000deadbeef:1\"",
		"[\"00000000deadbeef:1\"]",
		"\"-9223372036854775808us\"",
		"\"-99999999999999999999\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char line[128];

		snprintf(line, sizeof(line), "{\"since\":%s}", values[i]);
		assert_refused(line, "since", "\"-5min\"");
	}
}

static void bad_lines_are_placed(void **state)
{
	static char deep[200000];

	(void)state;
	assert_refused("types=exit", "", "after 5 bytes");
	assert_refused("GET / HTTP/1.1\r", "", "after 3 bytes");
	assert_refused("[]", "", "array");
	assert_refused("  [{}]", "", "after 2 bytes");
	assert_refused("7", "", "byte");
	assert_refused("\"exit\"", "", "byte");
	assert_refused("null", "", "byte");
	assert_refused("{", "", "after 1 bytes");
	assert_refused("{\"types\":", "", "after 9 bytes");
	assert_refused("{\"types\":[\"exit\"]", "", "after 17 bytes");
	assert_refused("{\"types\":\"exit\"} x", "", "after 18 bytes");
	assert_refused("{}{}", "", "after 3 bytes");
	assert_refused("{\"types\":\"exit\",\"types\":\"fork\"}", "", "duplicate");
	assert_refused("{\"snapshot\":true,\"snapshot\":true}", "", "duplicate");
	assert_refused("{\"pids\":{\"pid\":1,\"pid\":1}}", "", "duplicate");
	assert_refused("{\"types\":\"\xff\"}", "", "byte");
	assert_refused("\xff\xfe", "", "byte");
	assert_refused("\xef\xbb\xbf{}", "", "byte");
	assert_refused("{\"a\\u0000b\":1}", "", "byte");
	assert_refused("{\"uids\":99999999999999999999}", "", "byte");
	assert_refused("{\"uids\":1e999}", "", "byte");
	assert_refused("{'types':'exit'}", "", "byte");
	assert_refused("{\"a\":\"\xe2\x82\xac\xe2\x82", "", "byte");
	assert_refused_bytes("{}\0", 3, "", "after 3 bytes");
	assert_refused_bytes("\0", 1, "", "byte");
	assert_refused_bytes("{\"types\":\"ex\0it\"}", 17, "", "byte");
	memset(deep, '[', sizeof(deep) - 1);
	assert_refused(deep, "", "depth");
	memcpy(deep, "{\"types\":", 9);
	assert_refused(deep, "", "depth");
}

/* Random bytes, and requests with some bytes changed, always get an answer. */
static void any_line_is_answered(void **state)
{
	static const char *const lines[] = {
		"{\"types\":[\"exit\",\"fork\"],\"pids\":[1,{\"pid\":2,\"startUsec\":3}],\"since\":\"-"
		"5min\"}",
		"{\"comm\":[\"a*\",\"[a-z]\"],\"status\":\"failure\",\"threads\":true,\"snapshot\":true}",
		"{\"since\":\"00000000deadbeef:42\",\"tree\":7,\"minElapsedUsec\":5,\"uids\":[0,1000]}",
	};
	struct random random = { 11 };
	unsigned int taken = 0, refused = 0;

	(void)state;
	for (int i = 0; i < 30000; i++) {
		struct filter_error error;
		struct request request;
		char line[256];
		size_t len = random_below(&random, 40);

		for (size_t at = 0; at < len; at++)
			line[at] = (char)random_next(&random);
		if (i % 8) {
			snprintf(line, sizeof(line), "%s", lines[i % 3]);
			len = strlen(line);
			for (uint64_t n = random_below(&random, 4); n > 0; n--)
				line[random_below(&random, len)] =
					random_below(&random, 2) ? "{}[]\",:0-*\\a"[random_below(&random, 12)]
								 : (char)random_next(&random);
			len = random_below(&random, 4) ? len : random_below(&random, len);
		}
		if (parse_bytes(&request, line, len, &error) == 0) {
			request_done(&request);
			taken++;
		} else {
			assert_true(strlen(error.detail) > 0);
			refused++;
		}
	}
	assert_true(taken > 1000);
	assert_true(refused > 1000);
}

/* Each allocation fails once. The JSON parser reports some of these failures as a syntax error. */
static void parse_without_memory(void **state)
{
	const char *line = "{\"types\":[\"exit\"],\"comm\":\"a*\",\"since\":\"-5min\",\"snapshot\":true}";
	struct request request = { .query = REQUEST_SUBSCRIBE };
	struct filter_error error;
	long held = allocations_held;
	unsigned long n = 0;
	bool failed;
	int r;

	(void)state;
	if (!allocations_can_fail())
		return;
	do {
		allocations_until_failure = ++n;
		r = request_parse(&request, line, strlen(line), &error);
		failed = allocations_until_failure == 0;
		allocations_until_failure = 0;
		assert_true(r == 0 || r == -ENOMEM || (r == FILTER_E_INVALID && error.key[0] == '\0'));
		if (r == 0)
			request_done(&request);
		assert_int_equal(allocations_held, held);
	} while (failed);
	assert_int_equal(r, 0);
	assert_in_range(n, 15, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_everything_from_now),
		cmocka_unit_test(keys_stand_beside_the_filters),
		cmocka_unit_test(a_query_stands_alone),
		cmocka_unit_test(bad_keys_are_named),
		cmocka_unit_test(bad_since_is_explained),
		cmocka_unit_test(bad_lines_are_placed),
		cmocka_unit_test(any_line_is_answered),
		cmocka_unit_test(parse_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
