// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clients/ctl/human.h"

static void test_duration(void **state)
{
	static const struct {
		uint64_t usec;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 1, "1us" },
		{ 999, "999us" },
		{ 1000, "1ms" },
		{ 1001, "1.00ms" },
		{ 1240, "1.24ms" },
		{ 12000, "12ms" },
		{ 12345, "12.3ms" },
		{ 999999, "999ms" },
		{ 1000000, "1s" },
		{ 1240000, "1.24s" },
		{ 9999999, "9.99s" },
		{ 59999999, "59.9s" },
		{ 60000000, "1min" },
		{ 123000000, "2min 3s" },
		{ 3599999999, "59min 59s" },
		{ 3600000000, "1h" },
		{ 11520000000, "3h 12min" },
		{ 86400000000, "1d" },
		{ 352800000000, "4d 2h" },
		{ UINT64_MAX, "213503982d 8h" },
	};
	char buf[HUMAN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(human_duration(buf, cases[i].usec), cases[i].text);
}

static void test_bytes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 512, "512B" },
		{ 1023, "1023B" },
		{ 1024, "1K" },
		{ 1536, "1.50K" },
		{ 3250176, "3.09M" },
		{ 64 << 20, "64M" },
		{ (UINT64_C(1) << 30) - 1, "1023M" },
		{ UINT64_C(1) << 40, "1T" },
		{ UINT64_MAX, "15.9E" },
	};
	char buf[HUMAN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(human_bytes(buf, cases[i].bytes), cases[i].text);
}

static void test_time(void **state)
{
	char buf[HUMAN_MAX];

	(void)state;
	setenv("TZ", "UTC", 1);
	assert_string_equal(human_time(buf, UINT64_C(1795419194437896)), "2026-11-23 07:33:14");
	/* A year this far away has no number in a struct tm. */
	assert_string_equal(human_time(buf, UINT64_MAX), "586524-01-19 08:01:49");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_time),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ctl-human", tests, NULL, NULL);
}
