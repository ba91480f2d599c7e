// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "human.h"

#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR	(60 * USEC_PER_MINUTE)
#define USEC_PER_DAY	(24 * USEC_PER_HOUR)

/* Print @value in units of @unit with three digits. */
static char *three_digits(char *buf, uint64_t value, uint64_t unit, const char *name)
{
	uint64_t whole = value / unit;
	uint64_t rest = value % unit;
	/* Divide first: a hundred times the value could overflow. */
	uint64_t hundredths =
		unit > UINT64_C(1) << 50 ? (rest >> 10) * 100 / (unit >> 10) : rest * 100 / unit;

	if (whole >= 100 || rest == 0)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 "%s", whole, name);
	else if (whole >= 10)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 ".%" PRIu64 "%s", whole, hundredths / 10, name);
	else
		snprintf(buf, HUMAN_MAX, "%" PRIu64 ".%02" PRIu64 "%s", whole, hundredths, name);
	return buf;
}

static char *two_units(char *buf, uint64_t usec, uint64_t unit, const char *name, uint64_t small,
		       const char *small_name)
{
	uint64_t rest = usec % unit / small;

	if (rest == 0)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 "%s", usec / unit, name);
	else
		snprintf(buf, HUMAN_MAX, "%" PRIu64 "%s %" PRIu64 "%s", usec / unit, name, rest, small_name);
	return buf;
}

char *human_duration(char buf[static HUMAN_MAX], uint64_t usec)
{
	if (usec == 0)
		return strcpy(buf, "0");
	if (usec < USEC_PER_MSEC)
		return three_digits(buf, usec, 1, "us");
	if (usec < USEC_PER_SEC)
		return three_digits(buf, usec, USEC_PER_MSEC, "ms");
	if (usec < USEC_PER_MINUTE)
		return three_digits(buf, usec, USEC_PER_SEC, "s");
	if (usec < USEC_PER_HOUR)
		return two_units(buf, usec, USEC_PER_MINUTE, "min", USEC_PER_SEC, "s");
	if (usec < USEC_PER_DAY)
		return two_units(buf, usec, USEC_PER_HOUR, "h", USEC_PER_MINUTE, "min");
	return two_units(buf, usec, USEC_PER_DAY, "d", USEC_PER_HOUR, "h");
}

char *human_bytes(char buf[static HUMAN_MAX], uint64_t bytes)
{
	static const char *const units[] = { "B", "K", "M", "G", "T", "P", "E" };
	unsigned int power = 0;

	while (power + 1 < ARRAY_SIZE(units) && bytes >> (10 * (power + 1)) != 0)
		power++;
	return three_digits(buf, bytes, UINT64_C(1) << (10 * power), units[power]);
}

char *human_time(char buf[static HUMAN_MAX], uint64_t time_usec)
{
	time_t seconds = (time_t)(time_usec / USEC_PER_SEC);
	struct tm local;

	if (!localtime_r(&seconds, &local) || strftime(buf, HUMAN_MAX, "%Y-%m-%d %H:%M:%S", &local) == 0)
		strcpy(buf, "-");
	return buf;
}
