// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static void timespans(void **state)
{
	static const struct {
		const char *text;
		uint64_t usec;
	} cases[] = {
		{ "0", 0 },
		{ "90", 90 * USEC_PER_SEC },
		{ "90s", 90 * USEC_PER_SEC },
		{ "1us", 1 },
		{ "250ms", 250000 },
		{ "5min", 300 * USEC_PER_SEC },
		{ "1h 30min", 5400 * USEC_PER_SEC },
		{ "1h30min", 5400 * USEC_PER_SEC },
		{ "2d", 172800 * USEC_PER_SEC },
		{ "1w", 604800 * USEC_PER_SEC },
		{ "1h 1h", 7200 * USEC_PER_SEC },
		{ " 1 h  30 min ", 5400 * USEC_PER_SEC },
		{ "1w1d1h1min1s1ms1us", (604800 + 86400 + 3600 + 60 + 1) * USEC_PER_SEC + 1001 },
		{ "007s", 7 * USEC_PER_SEC },
		{ "9223372036854775807us", INT64_MAX },
	};
	static const char *const bad[] = { "",
					   " ",
					   "s",
					   "min",
					   "-5min",
					   "+5min",
					   "1.5h",
					   "5 x",
					   "5minutes",
					   "5m",
					   "5S",
					   "5 Min",
					   "1h 30",
					   "30 1h",
					   "1 2",
					   "5min,",
					   "5min x",
					   "1e3",
					   "0x10s",
					   "\t5s",
					   "5s\n",
					   "9223372036854775808us",
					   "18446744073709551616us",
					   "9223372036855s",
					   "15250285w",
					   "99999999999999999999",
					   "9223372036854775807us 1us" };
	uint64_t usec;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (timespan_parse(cases[i].text, &usec) != 0)
			fail_msg("refused: %s", cases[i].text);
		assert_int_equal(usec, cases[i].usec);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		usec = 77;
		if (timespan_parse(bad[i], &usec) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(usec, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timespans),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
