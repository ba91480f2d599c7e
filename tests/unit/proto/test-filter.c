// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/text.h"
#include "filter.h"
#include "tests/unit/allocations.h"
#include "tests/unit/random-filter.h"

/* Check that a filter is refused, with an error for @key that contains @detail. */
static void assert_refused(const char *text, const char *key, const char *detail)
{
	json_t *object = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
	struct filter *filter = (struct filter *)&filter;
	struct filter_error error;

	assert_non_null(object);
	memset(&error, 0x5a, sizeof(error));
	if (filter_parse(&filter, object, &error) != FILTER_E_INVALID)
		fail_msg("taken: %s", text);
	assert_ptr_equal(filter, &filter);
	assert_string_equal(error.key, key);
	if (!strstr(error.detail, detail))
		fail_msg("%s: \"%s\" does not contain \"%s\"", text, error.detail, detail);
	json_decref(object);
}

/* --- parse and print -------------------------------------------------------------------------------------------------- */

static void assert_prints(const char *text, const char *expected)
{
	struct filter *filter = filter_of(text), *again;
	char *printed = filter_print(filter), *twice;

	assert_string_equal(printed, expected);
	again = filter_of(printed);
	twice = filter_print(again);
	assert_string_equal(twice, expected);
	free(printed);
	free(twice);
	filter_free(again);
	assert_null(filter_free(filter));
}

static void normal_forms(void **state)
{
	static const char *const cases[][2] = {
		{ "{}", "{}" },
		/* One value or an array of one. */
		{ "{\"types\":\"exit\"}", "{\"types\":[\"exit\"]}" },
		{ "{\"pids\":7}", "{\"pids\":[7]}" },
		{ "{\"uids\":0}", "{\"uids\":[0]}" },
		{ "{\"comm\":\"x\"}", "{\"comm\":[\"x\"]}" },
		{ "{\"status\":\"signal\"}", "{\"status\":[\"signal\"]}" },
		/* The order of keys, values and types; duplicates. */
		{ "{\"threads\":true,\"minElapsedUsec\":5,\"status\":[\"signal\",\"success\"],\"unit\":\"u\","
		  "\"cgroup\":\"g\","
		  "\"exe\":\"e\",\"comm\":\"c\",\"uids\":1,\"tree\":3,\"pids\":2,\"types\":\"fork\"}",
		  "{\"types\":[\"fork\"],\"pids\":[2],\"tree\":3,\"uids\":[1],\"comm\":[\"c\"],\"exe\":["
		  "\"e\"],"
		  "\"cgroup\":[\"g\"],\"unit\":[\"u\"],\"status\":[\"success\",\"signal\"],"
		  "\"minElapsedUsec\":5,"
		  "\"threads\":true}" },
		{ "{\"types\":[\"exit\",\"fork\",\"exit\",\"exec\"]}",
		  "{\"types\":[\"fork\",\"exec\",\"exit\"]}" },
		{ "{\"uids\":[4294967294,1000,0,1000]}", "{\"uids\":[0,1000,4294967294]}" },
		{ "{\"comm\":[\"b\",\"a*\",\"b\",\"\",\"B\"]}", "{\"comm\":[\"\",\"B\",\"a*\",\"b\"]}" },
		{ "{\"pids\":[9,{\"startUsec\":8,\"pid\":7},{\"pid\":7,\"startUsec\":6},9,7,{\"pid\":7,"
		  "\"startUsec\":8}]}",
		  "{\"pids\":[7,{\"pid\":7,\"startUsec\":6},{\"pid\":7,\"startUsec\":8},9]}" },
		{ "{\"pids\":{\"pid\":1,\"startUsec\":0}}", "{\"pids\":[1]}" },
		{ "{\"pids\":{\"pid\":1}}", "{\"pids\":[1]}" },
		{ "{\"tree\":{\"pid\":2147483647,\"startUsec\":9223372036854775807}}",
		  "{\"tree\":{\"pid\":2147483647,\"startUsec\":9223372036854775807}}" },
		/* Defaults. */
		{ "{\"threads\":false}", "{}" },
		{ "{\"minElapsedUsec\":0}", "{\"minElapsedUsec\":0}" }, /* requires the field */
		/* Listing all types differs from listing none: listed types are requested. source and lost always come. */
		{ "{\"types\":[\"ptrace\",\"fork\",\"exec\",\"exit\",\"id\",\"comm\",\"session\",\"chroot\","
		  "\"coredump\",\"source\"]}",
		  "{\"types\":[\"fork\",\"exec\",\"exit\",\"id\",\"comm\",\"session\",\"chroot\","
		  "\"coredump\",\"ptrace\"]}" },
		{ "{\"types\":[\"lost\",\"exit\",\"source\"]}", "{\"types\":[\"exit\"]}" },
		{ "{\"types\":[\"lost\"]}", "{\"types\":[\"source\",\"lost\"]}" },
		{ "{\"types\":[\"source\"]}", "{\"types\":[\"source\",\"lost\"]}" },
		/* One status contains another. */
		{ "{\"status\":\"any\"}", "{\"status\":[\"any\"]}" },
		{ "{\"status\":[\"signal\",\"any\",\"success\"]}", "{\"status\":[\"any\"]}" },
		{ "{\"status\":[\"failure\",\"signal\"]}", "{\"status\":[\"failure\"]}" },
		{ "{\"status\":[\"failure\",\"success\"]}", "{\"status\":[\"any\"]}" },
		/* Texts of all kinds. */
		{ "{\"exe\":\"/caf\\u00e9/\\\"x\\n\"}", "{\"exe\":[\"/caf\xc3\xa9/\\\"x\\n\"]}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_prints(cases[i][0], cases[i][1]);
}

/* Bare pids are resolved in place; after sorting they are in order and without duplicates. */
static void normal_form_after_resolving(void **state)
{
	struct filter *filter =
		filter_of("{\"pids\":[7,{\"pid\":7,\"startUsec\":5},{\"pid\":7,\"startUsec\":9},8]}");
	char *printed;

	(void)state;
	assert_int_equal(filter->n_pids, 4);
	assert_int_equal(filter->pids[0].start_usec, 0);
	filter->pids[0].start_usec = 9;
	filter_pids_sort(filter);
	printed = filter_print(filter);
	assert_string_equal(printed,
			    "{\"pids\":[{\"pid\":7,\"startUsec\":5},{\"pid\":7,\"startUsec\":9},8]}");
	free(printed);
	filter_free(filter);
}

static void refusals(void **state)
{
	static const char *const cases[][3] = {
		{ "[]", "", "object" },
		{ "7", "", "object" },
		{ "{\"type\":\"exit\"}", "type", "types, pids" },
		{ "{\"\":1}", "", "known" },
		{ "{\"Types\":\"exit\"}", "Types", "known" },
		{ "{\"types\":[]}", "types", "empty" },
		{ "{\"types\":7}", "types", "fork, exec" },
		{ "{\"types\":null}", "types", "fork, exec" },
		{ "{\"types\":{\"exit\":1}}", "types", "fork, exec" },
		{ "{\"types\":[[\"exit\"]]}", "types", "fork, exec" },
		{ "{\"types\":[\"exit\",\"exot\"]}", "types", "\"exot\"" },
		{ "{\"types\":\"process\"}", "types", "\"process\"" },
		{ "{\"types\":\"ready\"}", "types", "\"ready\"" },
		{ "{\"types\":\"heartbeat\"}", "types", "\"heartbeat\"" },
		{ "{\"types\":\"none\"}", "types", "\"none\"" },
		{ "{\"types\":\"\"}", "types", "\"\"" },
		{ "{\"types\":\"exit\\u0000\"}", "types", "fork, exec" },
		{ "{\"pids\":[]}", "pids", "empty" },
		{ "{\"pids\":0}", "pids", "1 to 2147483647" },
		{ "{\"pids\":-1}", "pids", "1 to 2147483647" },
		{ "{\"pids\":2147483648}", "pids", "1 to 2147483647" },
		{ "{\"pids\":1.0}", "pids", "integer" },
		{ "{\"pids\":\"1\"}", "pids", "integer" },
		{ "{\"pids\":[1,true]}", "pids", "integer" },
		{ "{\"pids\":{}}", "pids", "integer" },
		{ "{\"pids\":{\"startUsec\":1}}", "pids", "integer" },
		{ "{\"pids\":{\"pid\":1,\"startUsec\":-1}}", "pids", "startUsec" },
		{ "{\"pids\":{\"pid\":1,\"startUsec\":null}}", "pids", "startUsec" },
		{ "{\"pids\":{\"pid\":1,\"startusec\":1}}", "pids", "startusec" },
		{ "{\"pids\":{\"pid\":{\"pid\":1}}}", "pids", "integer" },
		{ "{\"tree\":[1]}", "tree", "integer" },
		{ "{\"tree\":0}", "tree", "1 to" },
		{ "{\"uids\":[]}", "uids", "empty" },
		{ "{\"uids\":-1}", "uids", "0 to 4294967294" },
		{ "{\"uids\":4294967295}", "uids", "0 to 4294967294" },
		{ "{\"uids\":\"root\"}", "uids", "integer" },
		{ "{\"comm\":[]}", "comm", "empty" },
		{ "{\"comm\":7}", "comm", "string" },
		{ "{\"comm\":[\"a\",null]}", "comm", "string" },
		{ "{\"comm\":\"a\\u0000b\"}", "comm", "NUL" },
		{ "{\"exe\":\"/bin/[a\"}", "exe", "never closed" },
		{ "{\"cgroup\":\"x\\\\\"}", "cgroup", "backslash" },
		{ "{\"unit\":[\"a\",\"[b-a]\"]}", "unit", "backwards" },
		{ "{\"status\":[]}", "status", "empty" },
		{ "{\"status\":0}", "status", "any, success, failure, signal" },
		{ "{\"status\":\"ok\"}", "status", "any, success, failure, signal" },
		{ "{\"status\":\"any\\u0000\"}", "status", "any, success, failure, signal" },
		{ "{\"minElapsedUsec\":-1}", "minElapsedUsec", "integer" },
		{ "{\"minElapsedUsec\":[1]}", "minElapsedUsec", "integer" },
		{ "{\"minElapsedUsec\":1.5}", "minElapsedUsec", "integer" },
		{ "{\"minElapsedUsec\":\"1s\"}", "minElapsedUsec", "integer" },
		{ "{\"threads\":1}", "threads", "true or false" },
		{ "{\"threads\":[true]}", "threads", "true or false" },
		{ "{\"threads\":null}", "threads", "true or false" },
		/* After valid keys, so that their memory must be freed. */
		{ "{\"comm\":[\"a*\",\"b\"],\"uids\":[1,2],\"pids\":[3],\"exe\":\"x\",\"foo\":1}", "foo",
		  "known" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i][0], cases[i][1], cases[i][2]);
}

static char *dump(json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);

	json_decref(object);
	return text;
}

static json_t *array_of(size_t n, json_t *(*make)(size_t i))
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, make(i));
	return array;
}

static json_t *make_integer(size_t i)
{
	return json_integer((json_int_t)i + 1);
}

static json_t *make_literal(size_t i)
{
	return json_sprintf("name%zu", i);
}

static json_t *make_wildcard(size_t i)
{
	return json_sprintf("name%zu*", i);
}

static json_t *make_type(size_t i)
{
	(void)i;
	return json_string("exit");
}

/* All values differ, since equal ones are kept once. */
static json_t *make_path(size_t i)
{
	return json_sprintf("/usr/lib/some-program/of/some/length/%zu", i);
}

/* What is allowed in one key may be too much in several. */
static void memory(void **state)
{
	char *text = dump(json_pack("{s:o}", "exe", array_of(FILTER_VALUES_MAX, make_path)));
	struct filter *filter = filter_of(text);

	(void)state;
	assert_true(filter_size(filter) >
		    FILTER_VALUES_MAX * strlen("/usr/lib/some-program/of/some/length/"));
	assert_true(filter_size(filter) <= FILTER_SIZE_MAX);
	filter_free(filter);
	free(text);
	text = dump(json_pack("{s:o, s:o}", "exe", array_of(FILTER_VALUES_MAX, make_path), "cgroup",
			      array_of(FILTER_VALUES_MAX, make_path)));
	assert_refused(text, "", "bytes of memory");
	free(text);
	filter = filter_of("{\"comm\":\"[a-z]*[0-9]?\"}");
	assert_true(filter_size(filter) > sizeof(*filter) + 256);
	filter_free(filter);
}

static void limits(void **state)
{
	static const struct {
		const char *key;
		json_t *(*make)(size_t i);
		size_t max;
		const char *detail;
	} cases[] = {
		{ "types", make_type, FILTER_VALUES_MAX, "1025 values" },
		{ "pids", make_integer, FILTER_VALUES_MAX, "1025 values" },
		{ "uids", make_integer, FILTER_VALUES_MAX, "1025 values" },
		{ "comm", make_literal, FILTER_VALUES_MAX, "1025 values" },
		{ "exe", make_wildcard, FILTER_PATTERN_COST_MAX, "wildcards" },
	};
	char pattern[FILTER_PATTERN_MAX + 2];
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text = dump(json_pack("{s:o}", cases[i].key, array_of(cases[i].max, cases[i].make)));
		filter_free(filter_of(text));
		free(text);
		text = dump(json_pack("{s:o}", cases[i].key, array_of(cases[i].max + 1, cases[i].make)));
		assert_refused(text, cases[i].key, cases[i].detail);
		free(text);
	}
	/* The wildcards of all keys are counted together; those of long patterns count more. */
	text = dump(json_pack("{s:o, s:o}", "comm", array_of(FILTER_PATTERN_COST_MAX, make_wildcard), "unit",
			      array_of(1, make_wildcard)));
	assert_refused(text, "unit", "wildcards");
	free(text);
	memset(pattern, '?', sizeof(pattern));
	pattern[FILTER_PATTERN_MAX + 1] = '\0';
	text = dump(json_pack("{s:s}", "exe", pattern));
	assert_refused(text, "exe", "longer than 4096");
	free(text);
	pattern[FILTER_PATTERN_MAX] = '\0';
	text = dump(json_pack("{s:s}", "exe", pattern));
	filter_free(filter_of(text));
	free(text);
	text = dump(json_pack("{s:[s,s]}", "exe", pattern, pattern));
	assert_refused(text, "exe", "wildcards");
	free(text);
}

/* Errors are valid UTF-8 and fit their buffer for any input. */
static void refuse_makes_text(void **state)
{
	struct filter_error error;
	char long_text[1000];
	size_t n;

	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		for (size_t i = 0; i + 1 < sizeof(long_text); i++)
			long_text[i] = "\xf0\x9f\x98\x80"[(i + shift) % 4];
		long_text[sizeof(long_text) - 1] = '\0';
		assert_int_equal(filter_refuse(&error, long_text, "x %.40s y %s", long_text, long_text),
				 FILTER_E_INVALID);
		assert_int_equal(strlen(error.key), sizeof(error.key) - 1);
		assert_int_equal(strlen(error.detail), sizeof(error.detail) - 1);
		for (size_t at = 0; at < strlen(error.key); at += n)
			assert_int_not_equal(n = utf8_sequence(error.key + at, strlen(error.key + at)), 0);
		for (size_t at = 0; at < strlen(error.detail); at += n)
			assert_int_not_equal(n = utf8_sequence(error.detail + at, strlen(error.detail + at)),
					     0);
	}
}

static void keys_are_known(void **state)
{
	char keys[] = FILTER_KEYS;
	int n = 0;

	(void)state;
	for (char *key = strtok(keys, ", "); key; key = strtok(NULL, ", "), n++)
		assert_true(filter_has_key(key));
	assert_int_equal(n, 11);
	assert_false(filter_has_key(""));
	assert_false(filter_has_key("type"));
	assert_false(filter_has_key("snapshot"));
}

/* --- random filters ----------------------------------------------------------------------------------------------------- */

/* The same filter in another order and with duplicates. */
static json_t *shuffle(struct random *random, json_t *object)
{
	json_t *result = json_object(), *value;
	const char *names[16], *name;
	size_t n = 0;

	json_object_foreach(object, name, value)
		names[n++] = name;
	while (n > 0) {
		size_t at = random_below(random, n);
		json_t *array = json_array();

		value = json_object_get(object, names[at]);
		if (!json_is_array(value) &&
		    (strcmp(names[at], "tree") == 0 || strcmp(names[at], "threads") == 0 ||
		     strcmp(names[at], "minElapsedUsec") == 0)) {
			json_object_set(result, names[at], value);
			json_decref(array);
		} else {
			size_t values = json_is_array(value) ? json_array_size(value) : 1;

			for (size_t i = 0; i < values; i++)
				for (size_t times = 1 + random_below(random, 2); times > 0; times--)
					json_array_insert(
						array, random_below(random, json_array_size(array) + 1),
						json_is_array(value) ? json_array_get(value, i) : value);
			json_object_set_new(result, names[at], array);
		}
		names[at] = names[--n];
	}
	return result;
}

static char *normal_form(json_t *object)
{
	struct filter_error error;
	struct filter *filter = NULL;
	char *printed;

	if (filter_parse(&filter, object, &error) != 0)
		fail_msg("%s: %s", error.key, error.detail);
	printed = filter_print(filter);
	filter_free(filter);
	assert_non_null(printed);
	return printed;
}

static void normal_form_is_stable(void **state)
{
	struct random random = { 8 };

	(void)state;
	for (int i = 0; i < 5000; i++) {
		json_t *object = random_filter(&random), *shuffled = shuffle(&random, object), *parsed;
		char *first = normal_form(object), *second = normal_form(shuffled), *again;

		assert_string_equal(first, second);
		parsed = json_loads(first, JSON_REJECT_DUPLICATES, NULL);
		again = normal_form(parsed);
		assert_string_equal(first, again);
		json_decref(object);
		json_decref(shuffled);
		json_decref(parsed);
		free(first);
		free(second);
		free(again);
	}
}

static const char every_key[] = "{\"types\":[\"exit\",\"fork\"],\"pids\":[1,{\"pid\":2,\"startUsec\":3}],"
				"\"tree\":{\"pid\":4,\"startUsec\":5},"
				"\"uids\":[0,7],\"comm\":[\"b*\",\"a\",\"a\"],\"exe\":\"?\",\"cgroup\":\"x\","
				"\"unit\":\"[a-z]\",\"status\":\"any\","
				"\"minElapsedUsec\":1,\"threads\":true}";

/* Each allocation fails once: the error is reported, and no memory is leaked. */
static void parse_without_memory(void **state)
{
	struct filter_error error;
	struct filter *filter = NULL;
	json_t *object;
	long held;
	unsigned long n = 0;
	bool failed;
	int r;

	(void)state;
	if (!allocations_can_fail())
		return;
	object = json_loads(every_key, 0, NULL);
	held = allocations_held;
	do {
		allocations_until_failure = ++n;
		r = filter_parse(&filter, object, &error);
		failed = allocations_until_failure == 0;
		allocations_until_failure = 0;
		if (r == 0)
			filter_free(filter);
		else
			assert_int_equal(r, -ENOMEM);
		assert_int_equal(allocations_held, held);
	} while (failed);
	assert_int_equal(r, 0);
	assert_in_range(n, 15, 200);
	json_decref(object);
}

static void print_without_memory(void **state)
{
	char *expected, *printed;
	struct filter *filter;
	unsigned long n = 0;
	bool failed;
	long held;

	(void)state;
	if (!allocations_can_fail())
		return;
	filter = filter_of(every_key);
	expected = filter_print(filter);
	held = allocations_held;
	do {
		allocations_until_failure = ++n;
		printed = filter_print(filter);
		failed = allocations_until_failure == 0;
		allocations_until_failure = 0;
		if (printed)
			assert_string_equal(printed, expected);
		else
			assert_true(failed);
		free(printed);
		assert_int_equal(allocations_held, held);
	} while (failed);
	assert_in_range(n, 15, 500);
	free(expected);
	filter_free(filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(normal_forms),
		cmocka_unit_test(normal_form_after_resolving),
		cmocka_unit_test(refusals),
		cmocka_unit_test(memory),
		cmocka_unit_test(limits),
		cmocka_unit_test(refuse_makes_text),
		cmocka_unit_test(keys_are_known),
		cmocka_unit_test(normal_form_is_stable),
		cmocka_unit_test(parse_without_memory),
		cmocka_unit_test(print_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
