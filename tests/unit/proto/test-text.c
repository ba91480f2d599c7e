// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

#define TEXT(_literal)                         \
	{                                      \
		_literal, sizeof(_literal) - 1 \
	}
#define BAD "\xef\xbf\xbd"

static void test_decode(void **state)
{
	uint32_t point = 7;

	(void)state;
	assert_int_equal(utf8_decode("a", 1, &point), 1);
	assert_int_equal(point, 'a');
	assert_int_equal(utf8_decode("\xc2\x85", 2, &point), 2);
	assert_int_equal(point, 0x85);
	assert_int_equal(utf8_decode("\xe2\x80\xa8", 3, &point), 3);
	assert_int_equal(point, 0x2028);
	assert_int_equal(utf8_decode("\xf0\x9f\x90\xa7", 4, &point), 4);
	assert_int_equal(point, 0x1f427);
	assert_int_equal(utf8_decode("\xf0\x9f\x90", 3, &point), 0);
	assert_int_equal(point, 0x1f427);
}

static void test_hidden(void **state)
{
	static const uint32_t hidden[] = { 0xad,   0x61c,  0x200b, 0x200c, 0x200d, 0x200e, 0x2028,
					   0x2029, 0x202e, 0x2066, 0xfeff, 0xfdd0, 0xfffe, 0x10ffff };
	static const uint32_t shown[] = { ' ', 'a', 0xe9, 0x2027, 0x202f, 0x65e5, 0xfffd, 0x1f427 };

	(void)state;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		assert_true(text_is_hidden(hidden[i]));
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		assert_false(text_is_hidden(shown[i]) || text_is_control(shown[i]));
	assert_true(text_is_control(0x85) && text_is_control('\n') && text_is_control(0x7f));
}

static void test_clean(void **state)
{
	static const struct {
		struct {
			const char *data;
			size_t len;
		} from;
		const char *to;
	} cases[] = {
		{ TEXT(""), "" },
		{ TEXT("make"), "make" },
		{ TEXT("caf\xc3\xa9"), "caf\xc3\xa9" },
		{ TEXT("caf\xe9"), "caf" BAD },
		{ TEXT("\xff\xfe"), BAD BAD },
		{ TEXT("a\nb\tc\x1b[0m"), "a" BAD "b" BAD "c" BAD "[0m" },
		{ TEXT("nul\0in"), "nul" BAD "in" },
		{ TEXT("c1\xc2\x9b"), "c1" BAD },
		{ TEXT("turn\xe2\x80\xaegpj"), "turn" BAD "gpj" },
		{ TEXT("no\xe2\x80\x8bwidth\xe2\x80\x8c\xe2\x80\x8d"), "no" BAD "width" BAD BAD },
		{ TEXT("\xd8\x9c\xef\xbb\xbf"), BAD BAD },
		{ TEXT("a\xc2\x85z\xe2\x80\xa8\xe2\x80\xa9"), "a" BAD "z" BAD BAD },
		{ TEXT("\xef\xb7\x90\xf0\x9f\xbf\xbe"), BAD BAD },
		{ TEXT("cut\xe2\x80"), "cut" BAD BAD },
		{ TEXT("\xed\xa0\x80"), BAD BAD BAD },
		{ TEXT("none\xef\xbf\xbf"), "none" BAD },
		{ TEXT("\xf0\x9f\x90\xa7"), "\xf0\x9f\x90\xa7" },
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(text_clean(buf, sizeof(buf), cases[i].from.data, cases[i].from.len),
				 strlen(cases[i].to));
		assert_string_equal(buf, cases[i].to);
	}
}

/* For any size of the buffer, the result has no incomplete character. */
static void test_clean_cut(void **state)
{
	static const char text[] = "ab\xc3\xa9\xf0\x9f\x90\xa7\xff"
				   "cdefgh\xe2\x82\xac";

	(void)state;
	for (size_t size = 8; size < 2 * sizeof(text); size++) {
		char *buf = malloc(size);
		size_t len = text_clean(buf, size, text, sizeof(text) - 1);

		assert_true(len < size);
		assert_int_equal(strlen(buf), len);
		for (size_t i = 0; i < len; i += utf8_sequence(buf + i, len - i))
			assert_true(utf8_sequence(buf + i, len - i) > 0);
		assert_int_equal(strstr(buf, "\xe2\x82\xac") == NULL, size < sizeof(text) + 2);
		assert_int_equal(strstr(buf, "\xe2\x80\xa6") != NULL, size < sizeof(text) + 2);
		free(buf);
	}
	{
		char buf[8];

		text_clean(buf, sizeof(buf), "1234567", 7);
		assert_string_equal(buf, "1234567");
		text_clean(buf, sizeof(buf), "12345678", 8);
		assert_string_equal(buf, "1234\xe2\x80\xa6");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_clean_cut),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
