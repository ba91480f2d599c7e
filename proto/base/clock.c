// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* The unit that @at begins with, in µs, and its length; 0 where there is none. */
static uint64_t unit_parse(const char *at, size_t *len)
{
	static const struct {
		const char *name;
		uint64_t usec;
	} units[] = {
		{ "us", 1 },
		{ "ms", USEC_PER_MSEC },
		{ "s", USEC_PER_SEC },
		{ "min", 60 * USEC_PER_SEC },
		{ "h", 3600 * USEC_PER_SEC },
		{ "d", 86400 * USEC_PER_SEC },
		{ "w", 7 * 86400 * USEC_PER_SEC },
	};

	*len = strspn(at, "abcdefghijklmnopqrstuvwxyz");
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == *len && strncmp(at, units[i].name, *len) == 0)
			return units[i].usec;
	return 0;
}

/* One number at *@at, which moves on. */
static int number_parse(const char **at, uint64_t *number)
{
	if (**at < '0' || **at > '9')
		return -EINVAL;
	for (*number = 0; **at >= '0' && **at <= '9'; (*at)++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(**at - '0'), number))
			return -EINVAL;
	return 0;
}

int timespan_parse(const char *text, uint64_t *usec)
{
	const char *at = text + strspn(text, " ");
	uint64_t number, unit, sum = 0;
	bool alone = true;
	size_t len;

	do {
		if (number_parse(&at, &number) != 0)
			return -EINVAL;
		at += strspn(at, " ");
		unit = unit_parse(at, &len);
		if (len == 0 && alone && *at == '\0')
			unit = USEC_PER_SEC;
		if (unit == 0 || __builtin_mul_overflow(number, unit, &number) ||
		    __builtin_add_overflow(sum, number, &sum) || sum > INT64_MAX)
			return -EINVAL;
		at += len;
		at += strspn(at, " ");
		alone = false;
	} while (*at != '\0');
	*usec = sum;
	return 0;
}

int64_t clock_shift_usec(const char *clock)
{
	/* Lines of a clock's name, seconds and nanoseconds. */
	_cleanup_fclose_ FILE *file = fopen("/proc/self/timens_offsets", "re");
	long long seconds, nanoseconds;
	char name[16];

	while (file && fscanf(file, "%15s %lld %lld", name, &seconds, &nanoseconds) == 3)
		if (strcmp(name, clock) == 0)
			return seconds * (int64_t)USEC_PER_SEC + nanoseconds / (int64_t)NSEC_PER_USEC;
	return 0;
}
