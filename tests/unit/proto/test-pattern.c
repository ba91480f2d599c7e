// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pattern.h"
#include "tests/unit/allocations.h"
#include "tests/unit/random-event.h"

static struct pattern *make(const char *text)
{
	const char *reason = NULL;
	struct pattern *pattern = NULL;

	if (pattern_new(&pattern, text, &reason) != 0)
		fail_msg("%s %s", text, reason);
	return pattern;
}

static bool matches(const char *text, const char *data)
{
	struct pattern *pattern = make(text);
	bool result = pattern_match(pattern, data, strlen(data));

	assert_string_equal(pattern_text(pattern), text);
	assert_null(pattern_free(pattern));
	return result;
}

static void examples(void **state)
{
	(void)state;
	assert_true(matches("bash", "bash"));
	assert_false(matches("bash", "bas"));
	assert_false(matches("bash", "bashx"));
	assert_true(matches("", ""));
	assert_false(matches("", "x"));
	assert_true(matches("*", ""));
	assert_true(matches("*", "a/b"));
	assert_true(matches("/usr/*", "/usr/bin/cc1"));
	assert_false(matches("/usr/*", "/usr"));
	assert_true(matches("*.service", "cron.service"));
	assert_false(matches("*.service", "cron.service.d"));
	assert_true(matches("*sh*", "bash-5"));
	assert_true(matches("*a*b*", "xxaxxbxx"));
	assert_false(matches("*a*b*", "xxbxxaxx"));
	assert_true(matches("cc?", "cc1"));
	assert_false(matches("cc?", "cc"));
	assert_false(matches("cc?", "cc12"));
	assert_true(matches(".*", ".hidden"));
	assert_true(matches("*", ".hidden"));
	assert_true(matches("x[0-9]", "x7"));
	assert_false(matches("x[!0-9]", "x7"));
	assert_false(matches("x[^0-9]", "x7"));
	assert_true(matches("x[a-a]", "xa"));
	assert_true(matches("x[]-]", "x]"));
	assert_true(matches("x[]-]", "x-"));
	assert_true(matches("x[a-]", "x-"));
	assert_true(matches("[[:digit:][:upper:]_]", "Q"));
	assert_false(matches("[[:digit:][:upper:]_]", "q"));
	assert_true(matches("[![:alpha:]]", "\xff"));
	assert_true(matches("\\*", "*"));
	assert_false(matches("\\*", "x"));
	assert_true(matches("\\b\\a\\s\\h", "bash"));
	assert_true(matches("[\\]]", "]"));
	assert_true(matches("]", "]"));
	assert_true(matches("caf??", "caf\xc3\xa9"));
	assert_true(matches("caf\xc3\xa9*", "caf\xc3\xa9s"));
}

/* NULs and invalid UTF-8 are treated like other bytes. */
static void texts_are_any_bytes(void **state)
{
	struct pattern *pattern;

	(void)state;
	pattern = make("a?b*");
	assert_true(pattern_match(pattern, "a\0b", 3));
	assert_true(pattern_match(pattern,
				  "a\xff"
				  "b\0\0",
				  5));
	assert_false(pattern_match(pattern, "a\0c", 3));
	pattern_free(pattern);
	pattern = make("[!a]");
	assert_true(pattern_match(pattern, "\0", 1));
	pattern_free(pattern);
	pattern = make("a");
	assert_false(pattern_match(pattern, "a\0", 2));
	assert_false(pattern_match(pattern, NULL, 0));
	pattern_free(pattern);
	pattern = make("*");
	assert_true(pattern_match(pattern, NULL, 0));
	pattern_free(pattern);
}

static void refusals(void **state)
{
	static const char *const cases[] = {
		"[",	     "[a",	   "[]",       "[!]",	    "[^",	 "[a-",		 "a\\",
		"[a\\",	     "[\\]",	   "[z-a]",    "[[:foo:]]", "[[:alpha]", "[[.a.]]",	 "[[=a=]]",
		"[a-[.z.]]", "[\xc3\xa9]", "[a-\xff]", "[[:",	    "*[",	 "[a-[:alpha:]]"
	};
	char too_long[PATTERN_MAX + 2];
	struct pattern *pattern = NULL;
	const char *reason;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reason = NULL;
		if (pattern_new(&pattern, cases[i], &reason) != PATTERN_E_INVALID)
			fail_msg("taken: %s", cases[i]);
		assert_non_null(reason);
		assert_null(pattern);
	}
	memset(too_long, 'a', sizeof(too_long));
	too_long[PATTERN_MAX + 1] = '\0';
	assert_int_equal(pattern_new(&pattern, too_long, &reason), PATTERN_E_INVALID);
	assert_non_null(strstr(reason, "4096"));
	too_long[PATTERN_MAX] = '\0';
	assert_int_equal(pattern_new(&pattern, too_long, &reason), 0);
	pattern_free(pattern);
}

static void costs(void **state)
{
	static const struct {
		const char *text;
		size_t cost;
	} cases[] = { { "", 0 },
		      { "/usr/bin/bash", 0 },
		      { "*", 1 },
		      { "a\\b", 1 },
		      { "[abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz]",
			1 } };
	char text[256];
	struct pattern *pattern;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pattern = make(cases[i].text);
		assert_int_equal(pattern_cost(pattern), cases[i].cost);
		pattern_free(pattern);
	}
	for (size_t len = 1; len < 200; len++) {
		memset(text, '?', len);
		text[len] = '\0';
		pattern = make(text);
		assert_int_equal(pattern_cost(pattern), len / 64 + 1);
		pattern_free(pattern);
	}
}

/* All lengths around a word of states, where carries occur. */
static void long_patterns(void **state)
{
	char text[PATTERN_MAX + 1], data[PATTERN_MAX + 1];
	struct pattern *pattern;

	(void)state;
	memset(data, 'a', sizeof(data));
	for (size_t len = 1; len < 300; len++) {
		memset(text, len % 2 ? '?' : 'a', len);
		text[0] = '?';
		text[len] = '\0';
		pattern = make(text);
		for (size_t n = len > 3 ? len - 3 : 0; n < len + 3; n++)
			assert_int_equal(pattern_match(pattern, data, n), n == len);
		data[len - 1] = 'b';
		assert_int_equal(pattern_match(pattern, data, len), len % 2 || len == 1);
		data[len - 1] = 'a';
		pattern_free(pattern);
	}
	/* The longest pattern, with many stars. */
	for (size_t i = 0; i < PATTERN_MAX; i += 2)
		memcpy(text + i, "*a", 2);
	text[PATTERN_MAX] = '\0';
	pattern = make(text);
	assert_true(pattern_match(pattern, data, PATTERN_MAX));
	assert_true(pattern_match(pattern, data, PATTERN_MAX / 2));
	assert_false(pattern_match(pattern, data, PATTERN_MAX / 2 - 1));
	data[PATTERN_MAX - 1] = 'b';
	assert_false(pattern_match(pattern, data, PATTERN_MAX));
	pattern_free(pattern);
}

/* The same result as fnmatch(3), for random patterns and texts. */
static void agrees_with_fnmatch(void **state)
{
	static const char *const pieces[] = { "a",
					      "b",
					      "*",
					      "*",
					      "?",
					      "[ab]",
					      "[!a]",
					      "[a-c]",
					      "\\*",
					      "[]a]",
					      "c",
					      "[[:alpha:]b]",
					      "/",
					      ".",
					      "[^b-]",
					      "[--c]",
					      "[a\\-c]",
					      "\\a",
					      "ab",
					      "-",
					      "[",
					      "]",
					      "[[:digit:]-c]",
					      "[!]]",
					      "[*?]" };
	static const char letters[] = "aabbc-.]*/7";
	struct random random = { 7 };
	unsigned int matched = 0, refused = 0;

	(void)state;
	for (int i = 0; i < 40000; i++) {
		char text[2048] = "", data[256];
		struct pattern *pattern;
		const char *reason;
		/* Some are long enough for more than one word. */
		uint64_t n = random_below(&random, i % 4 ? 8 : 120);

		while (n-- > 0)
			strcat(text, pieces[random_below(&random, sizeof(pieces) / sizeof(pieces[0]))]);
		if (pattern_new(&pattern, text, &reason) != 0) {
			refused++;
			continue;
		}
		for (int j = 0; j < 10; j++) {
			size_t len = random_below(&random, i % 4 ? 10 : 200);
			bool expected;

			for (size_t k = 0; k < len; k++)
				data[k] = letters[random_below(&random, sizeof(letters) - 1)];
			data[len] = '\0';
			expected = fnmatch(text, data, 0) == 0;
			matched += expected;
			if (pattern_match(pattern, data, len) != expected)
				fail_msg("pattern %s, text %s, fnmatch() says %d", text, data, expected);
		}
		pattern_free(pattern);
	}
	assert_true(matched > 10000);
	assert_true(refused > 100);
}

static void matching_allocates_nothing(void **state)
{
	char text[PATTERN_MAX + 1], data[PATTERN_MAX];
	struct pattern *pattern;
	unsigned long before;

	(void)state;
	if (!allocations_are_counted())
		return;
	memset(text, '?', PATTERN_MAX);
	text[0] = '*';
	text[PATTERN_MAX] = '\0';
	memset(data, 'x', sizeof(data));
	pattern = make(text);
	before = allocations;
	assert_true(pattern_match(pattern, data, sizeof(data)));
	assert_int_equal(allocations, before);
	pattern_free(pattern);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples),
		cmocka_unit_test(texts_are_any_bytes),
		cmocka_unit_test(refusals),
		cmocka_unit_test(costs),
		cmocka_unit_test(long_patterns),
		cmocka_unit_test(agrees_with_fnmatch),
		cmocka_unit_test(matching_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
