// SPDX-License-Identifier: LGPL-2.1-or-later
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "clients/ctl/term.h"

static const struct term utf8 = { .utf8 = true };
static const struct term ascii = { .utf8 = false };

static void assert_escaped(const struct term *term, const char *text, size_t len, const char *expected)
{
	char *got = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&got, &size);

	assert_non_null(file);
	term_escape(term, file, text, len);
	fclose(file);
	assert_string_equal(got, expected);
	assert_int_equal(strlen(expected), size);
	free(got);
}

#define ESCAPES(_term, _text, _expected) assert_escaped(_term, _text, sizeof(_text) - 1, _expected)

static void test_escape(void **state)
{
	(void)state;
	ESCAPES(&utf8, "", "");
	ESCAPES(&utf8, "make -j2", "make -j2");
	ESCAPES(&utf8, "a\033[31mb", "a\\x1b[31mb");
	ESCAPES(&utf8, "a\nb\tc\rd\be\177f", "a\\x0ab\\x09c\\x0dd\\x08e\\x7ff");
	ESCAPES(&utf8, "a\0b", "a\\x00b");
	ESCAPES(&utf8, "back\\slash", "back\\\\slash");
	ESCAPES(&utf8, "\\x1b", "\\\\x1b");
	ESCAPES(&utf8, "grün 日本", "grün 日本");
	ESCAPES(&ascii, "grün", "gr\\xc3\\xbcn");
}

/* Single bytes that some terminals interpret as the beginning of a control sequence, as characters and as bytes. */
static void test_escape_c1(void **state)
{
	(void)state;
	ESCAPES(&utf8,
		"\xc2\x9b"
		"31m",
		"\\xc2\\x9b31m");
	ESCAPES(&utf8,
		"\x9b"
		"31m",
		"\\x9b31m");
	ESCAPES(&utf8, "\xc2\x80\xc2\x9f", "\\xc2\\x80\\xc2\\x9f");
}

static void test_escape_invisible(void **state)
{
	(void)state;
	ESCAPES(&utf8,
		"a\xe2\x80\xae"
		"b",
		"a\\xe2\\x80\\xaeb");				    /* changes the direction */
	ESCAPES(&utf8, "\xe2\x80\x8b", "\\xe2\\x80\\x8b");	    /* has no width */
	ESCAPES(&utf8, "\xe2\x80\xa8", "\\xe2\\x80\\xa8");	    /* a line separator */
	ESCAPES(&utf8, "\xef\xbb\xbf", "\\xef\\xbb\\xbf");	    /* a byte order mark */
	ESCAPES(&utf8, "\xf3\xa0\x80\xa1", "\\xf3\\xa0\\x80\\xa1"); /* a tag */
}

static void test_escape_not_utf8(void **state)
{
	(void)state;
	ESCAPES(&utf8, "caf\xe9", "caf\\xe9");
	ESCAPES(&utf8, "\xe2\x82", "\\xe2\\x82");   /* cut short */
	ESCAPES(&utf8, "\xe2\x82z", "\\xe2\\x82z"); /* interrupted by another character */
	ESCAPES(&utf8, "\xc0\xaf", "\\xc0\\xaf");   /* overlong */
	ESCAPES(&utf8, "\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	ESCAPES(&utf8, "\xed\xa0\x80", "\\xed\\xa0\\x80");	    /* half a surrogate pair */
	ESCAPES(&utf8, "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond the last character */
	ESCAPES(&utf8, "\xff\xfe", "\\xff\\xfe");
}

/* For any bytes, the output has no control characters, and its width is the reported one. */
static void test_escape_everything(void **state)
{
	char *got = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&got, &size);

	(void)state;
	assert_non_null(file);
	for (unsigned int a = 0; a < 256; a++) {
		for (unsigned int b = 0; b < 256; b++) {
			const char text[] = { (char)a, (char)b };

			term_escape(&utf8, file, text, sizeof(text));
			fputc('|', file);
		}
	}
	fclose(file);
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)got[i];

		assert_true(byte >= 0x20 && byte != 0x7f);
		/* C1 in UTF-8 */
		if (byte == 0xc2)
			assert_true((unsigned char)got[i + 1] >= 0xa0);
	}
	assert_int_equal(term_fit(&utf8, got, size, term_columns(&utf8, got, size)), size);
	free(got);
}

static void test_width(void **state)
{
	(void)state;
	assert_int_equal(term_columns(&utf8, "abc", 3), 3);
	assert_int_equal(term_columns(&utf8, "grün", 5), 4);
	assert_int_equal(term_columns(&utf8, "日本", 6), 4);
	assert_int_equal(term_fit(&utf8, "abc", 3, 2), 2);
	assert_int_equal(term_fit(&utf8, "abc", 3, 9), 3);
	assert_int_equal(term_fit(&utf8, "grün", 5, 3), 4);
	/* A wide character does not fit into one column. */
	assert_int_equal(term_fit(&utf8, "日本", 6, 3), 3);
	assert_int_equal(term_fit(&utf8, "日本", 6, 1), 0);
}

static void test_json(void **state)
{
	static const char json[] = "{\"comm\":\"a\xc2\x9b\x7f\xe2\x80\xae\xf3\xa0\x80\xa1 ü\\u0007\"}";
	char *got = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&got, &size);
	json_t *before, *after;

	(void)state;
	assert_non_null(file);
	term_escape_json(file, json, sizeof(json) - 1);
	fclose(file);
	assert_string_equal(got, "{\"comm\":\"a\\u009b\\u007f\\u202e\\udb40\\udc21 ü\\u0007\"}");
	before = json_loads(json, 0, NULL);
	after = json_loads(got, 0, NULL);
	assert_non_null(before);
	assert_true(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	free(got);
}

static void test_colour(void **state)
{
	const struct term plain = { .tty = true }, colour = { .tty = true, .colour = true };

	(void)state;
	for (enum term_colour c = 0; c < _TERM_COLOUR_MAX; c++) {
		assert_string_equal(term_colour(&plain, c), "");
		assert_int_equal(*term_colour(&colour, c), '\033');
	}
}

static void test_init(void **state)
{
	FILE *file = tmpfile();
	struct term term;

	(void)state;
	assert_non_null(file);
	setenv("TERM", "xterm", 1);
	term_init(&term, fileno(file));
	assert_false(term.tty);
	assert_false(term.colour);
	assert_int_equal(term.width, 0);
	assert_true(term.utf8);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_c1),
		cmocka_unit_test(test_escape_invisible),
		cmocka_unit_test(test_escape_not_utf8),
		cmocka_unit_test(test_escape_everything),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_init),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests_name("ctl-term", tests, NULL, NULL);
}
