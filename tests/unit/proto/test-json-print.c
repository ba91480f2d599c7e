// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json-print.h"
#include "tests/unit/allocations.h"

/* Whatever splits text at the ends of lines finds none in a value. */
static void test_separators(void **state)
{
	static const char value[] =
		"a\n\v\f\r\x1c\x1d\x1e\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xc2\x84\xe2\x80\xa7\xe2\x82\xac\x7f";
	json_t *object = json_pack("{s:s}", value, value), *again;
	size_t size = 0;
	char *text = json_print(object, JSON_COMPACT, &size);

	(void)state;
	assert_non_null(text);
	assert_int_equal(size, strlen(text));
	for (const char *at = text; *at != '\0'; at++)
		assert_true((unsigned char)*at >= 0x20);
	assert_null(strstr(text, "\xc2\x85"));
	assert_null(strstr(text, "\xe2\x80\xa8"));
	assert_null(strstr(text, "\xe2\x80\xa9"));
	assert_non_null(strstr(text, "\xc2\x84\xe2\x80\xa7\xe2\x82\xac\x7f"));
	again = json_loads(text, 0, NULL);
	assert_true(json_equal(object, again));
	json_decref(again);
	json_decref(object);
	free(text);
}

static void test_text(void **state)
{
	struct json_builder builder = json_build(json_object());
	json_t *object;
	char *text;

	(void)state;
	json_put_text(&builder, "a", "x\xff\xe2\x80y\xe2\x82\xac");
	json_put(&builder, "b", json_integer(7));
	object = json_built(&builder);
	assert_null(json_built(&builder));
	text = json_print(object, JSON_COMPACT, NULL);
	assert_string_equal(text, "{\"a\":\"x???y\xe2\x82\xac\",\"b\":7}");
	free(text);
	json_decref(object);
}

static char *make(void)
{
	struct json_builder outer = json_build(json_object()), inner = json_build(json_object());
	json_t *object;
	char *text;

	for (unsigned int i = 0; i < 20; i++)
		json_put(&inner, (char[]){ (char)('a' + i), '\0' }, json_integer(i));
	json_put_text(&outer, "text", "line\xe2\x80\xa8separator");
	json_put(&outer, "inner", json_built(&inner));
	object = json_built(&outer);
	text = json_print(object, JSON_COMPACT, NULL);
	json_decref(object);
	return text;
}

/* If any allocation fails, there is no text, rather than an incomplete one; and the next one is complete. */
static void test_no_memory(void **state)
{
	char *whole = make(), *text = NULL;
	unsigned int failures = 0;

	(void)state;
	assert_non_null(whole);
	if (allocations_can_fail()) {
		for (unsigned long n = 1; !text; n++) {
			allocations_until_failure = n;
			text = make();
			failures += !text;
			/* A failure after which jansson tries again is none. */
			if (allocations_until_failure == 0 && text) {
				assert_string_equal(text, whole);
				free(text);
				text = NULL;
			}
			allocations_until_failure = 0;
		}
		assert_string_equal(text, whole);
		assert_true(failures > 20);
	}
	free(text);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_separators),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("json-print", tests, NULL, NULL);
}
