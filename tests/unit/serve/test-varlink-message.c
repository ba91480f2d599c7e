// SPDX-License-Identifier: LGPL-2.1-or-later
/* Calls and replies as JSON */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/varlink/message.h"
#include "tests/unit/allocations.h"

/* In memory of exactly @len bytes, so that the sanitizer notices if one more is read. */
static int parse_bytes(struct varlink_call *call, const char *text, size_t len)
{
	char *exact = malloc(len ? len : 1);
	int r;

	assert_non_null(exact);
	memcpy(exact, text, len);
	memset(call, 0x5a, sizeof(*call));
	r = varlink_call_parse(call, exact, len);
	free(exact);
	return r;
}

static int parse(struct varlink_call *call, const char *text)
{
	return parse_bytes(call, text, strlen(text));
}

/* As read, and as it is after: the parameters, and flags by their first letters */
static const struct {
	const char *text, *method, *parameters, *flags;
} calls[] = {
	{ "{\"method\":\"a.B\"}", "a.B", "{}", "" },
	{ " \n{ \"method\" :\t\"a.B\" }\r\n", "a.B", "{}", "" },
	{ "{\"method\":\"a.B\",\"parameters\":{}}", "a.B", "{}", "" },
	{ "{\"method\":\"a.B\",\"parameters\":null}", "a.B", "{}", "" },
	{ "{\"parameters\":{\"a\":1},\"method\":\"a.B\"}", "a.B", "{\"a\":1}", "" },
	{ "{\"method\":\"\"}", "", "{}", "" },
	{ "{\"method\":\"a.B\",\"oneway\":true}", "a.B", "{}", "o" },
	{ "{\"method\":\"a.B\",\"more\":true,\"oneway\":false}", "a.B", "{}", "m" },
	{ "{\"method\":\"a.B\",\"upgrade\":true,\"more\":null}", "a.B", "{}", "u" },
	{ "{\"method\":\"a.B\",\"more\":false,\"upgrade\":false}", "a.B", "{}", "" },
	{ "{\"method\":\"a.B\",\"org.example\":{\"more\":1}}", "a.B", "{}", "" },
	{ "{\"method\":\"a.B\",\"parameters\":{\"a\":null,\"b\":{\"c\":null,\"d\":[null,{\"e\":null}]}}}",
	  "a.B", "{\"b\":{\"d\":[null,{}]}}", "" },
	{ "{\"method\":\"a.B\",\"parameters\":{\"a\":\"\\u0000x\"}}", "a.B", "{\"a\":\"\\u0000x\"}", "" },
	/* A number that does not fit into an integer is a real number; all others are unchanged. */
	{ "{\"method\":\"a.B\",\"parameters\":{\"a\":9223372036854775807,\"b\":-9223372036854775808}}", "a.B",
	  "{\"a\":9223372036854775807,\"b\":-9223372036854775808}", "" },
	{ "{\"method\":\"a.B\",\"parameters\":{\"a\":[7,[-8]],\"b\":18446744073709551616,\"c\":{\"d\":0}}}",
	  "a.B", "{\"a\":[7,[-8]],\"b\":1.8446744073709552e19,\"c\":{\"d\":0}}", "" },
	{ "{\"method\":\"a.B\",\"parameters\":{\"a\":9223372036854775808,\"b\":9007199254740992}}", "a.B",
	  "{\"a\":9.2233720368547758e18,\"b\":9007199254740992}", "" },
};

static void test_calls(void **state)
{
	struct varlink_call call;

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const char *flags = calls[i].flags;
		char *parameters;

		if (parse(&call, calls[i].text) != 0)
			fail_msg("%s", calls[i].text);
		parameters = json_dumps(call.parameters, JSON_COMPACT);
		assert_string_equal(call.method, calls[i].method);
		assert_string_equal(parameters, calls[i].parameters);
		assert_int_equal(call.oneway, flags[0] == 'o');
		assert_int_equal(call.more, flags[0] == 'm');
		assert_int_equal(call.upgrade, flags[0] == 'u');
		free(parameters);
		varlink_call_done(&call);
		assert_null(call.message);
		/* Once more is nothing. */
		varlink_call_done(&call);
	}
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"x",
		"{",
		"}",
		"[]",
		"1",
		"null",
		"\"a.B\"",
		"{}",
		"{\"method\":1}",
		"{\"method\":null}",
		"{\"method\":[]}",
		"{\"method\":\"a.B\\u0000\"}",
		"{\"parameters\":{}}",
		"{\"method\":\"a.B\"",
		"{\"method\":\"a.B\"}{}",
		"{\"method\":\"a.B\"}x",
		"{\"method\":\"a.B\",\"method\":\"a.B\"}",
		"{\"method\":\"a.B\",\"a\":1}",
		"{\"method\":\"a.B\",\"a\":null}",
		"{\"method\":\"a.B\",\"\":1}",
		"{\"method\":\"a.B\",\"error\":\"a.C\"}",
		"{\"method\":\"a.B\",\"continues\":false}",
		"{\"method\":\"a.B\",\"parameters\":[]}",
		"{\"method\":\"a.B\",\"parameters\":\"\"}",
		"{\"method\":\"a.B\",\"parameters\":false}",
		"{\"method\":\"a.B\",\"more\":1}",
		"{\"method\":\"a.B\",\"oneway\":\"true\"}",
		"{\"method\":\"a.B\",\"upgrade\":{}}",
		"{\"method\":\"a.B\",\"more\":true,\"oneway\":true}",
		"{\"method\":\"a.B\",\"more\":true,\"upgrade\":true}",
		"{\"method\":\"a.B\",\"oneway\":true,\"upgrade\":true}",
		"{\"method\":\"a.\xff\"}",
		"{\"method\":\"a.B\",\"a.b\":\"\xc3\"}",
		"{\"method\":\"a.B\",\"parameters\":{\"a\\u0000\":1}}",
	};
	struct varlink_call call;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (parse(&call, texts[i]) != VARLINK_E_MALFORMED)
			fail_msg("taken: %s", texts[i]);
	assert_int_equal(parse_bytes(&call, "{\"method\":\"a.B\"}\0", 17), VARLINK_E_MALFORMED);
	assert_int_equal(parse_bytes(&call, "\0", 1), VARLINK_E_MALFORMED);
}

/* At any depth: refused, or read and freed, but no stack overflow. */
static void test_deep(void **state)
{
	struct varlink_call call;
	char *text = malloc(2000000), *at = text;
	int r;

	(void)state;
	for (size_t depth = 1; depth < 200000; depth *= 2) {
		at = stpcpy(text, "{\"method\":\"a.B\",\"parameters\":{\"a\":");
		memset(at, '[', depth);
		memset(at + depth, ']', depth);
		strcpy(at + 2 * depth, "}}");
		r = parse(&call, text);
		assert_int_equal(r, depth <= 1024 ? 0 : r > 0 ? VARLINK_E_MALFORMED : 0);
		if (r == 0)
			varlink_call_done(&call);
		assert_true(r == 0 || depth > 1024);
	}
	assert_int_equal(r, VARLINK_E_MALFORMED);
	free(text);
}

static void assert_reply(const char *error, json_t *parameters, const char *expected)
{
	size_t size = 0;
	char *text = varlink_reply(error, parameters, &size);

	assert_non_null(text);
	assert_string_equal(text, expected);
	assert_int_equal(size, strlen(expected) + 1);
	free(text);
}

static void test_replies(void **state)
{
	(void)state;
	assert_reply(NULL, NULL, "{}");
	assert_reply(NULL, json_object(), "{\"parameters\":{}}");
	assert_reply(NULL, json_pack("{s:i}", "a", 1), "{\"parameters\":{\"a\":1}}");
	assert_reply("a.B", NULL, "{\"error\":\"a.B\"}");
	assert_reply("a.B", json_pack("{s:s}", "c", "\n"),
		     "{\"error\":\"a.B\",\"parameters\":{\"c\":\"\\n\"}}");
}

/* If any allocation fails, there is no call, and nothing leaks. */
static void test_no_memory(void **state)
{
	struct varlink_call call;
	size_t size;
	char *text;
	long held;

	(void)state;
	if (!allocations_can_fail())
		return;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int r = -ENOMEM;

		for (unsigned long n = 1; r != 0; n++) {
			held = allocations_held;
			allocations_until_failure = n;
			r = varlink_call_parse(&call, calls[i].text, strlen(calls[i].text));
			allocations_until_failure = 0;
			/* For some failures the parser reports an error in the text; the connection is closed in any case. */
			assert_true(r == 0 || r == -ENOMEM || r == VARLINK_E_MALFORMED);
			if (r == 0)
				varlink_call_done(&call);
			assert_int_equal(allocations_held, held);
		}
	}
	text = NULL;
	held = allocations_held;
	for (unsigned long n = 1; !text; n++) {
		json_t *parameters = json_pack("{s:s}", "a", "b");

		allocations_until_failure = n;
		text = varlink_reply("a.B", parameters, &size);
		allocations_until_failure = 0;
		assert_int_equal(allocations_held - held, text != NULL);
	}
	assert_string_equal(text, "{\"error\":\"a.B\",\"parameters\":{\"a\":\"b\"}}");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),	cmocka_unit_test(test_malformed), cmocka_unit_test(test_deep),
		cmocka_unit_test(test_replies), cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("varlink-message", tests, NULL, NULL);
}
