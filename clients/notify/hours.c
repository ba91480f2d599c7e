// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "hours.h"

/* Two digits of at most @max. Return: the number, or -1. */
static int digits(const char *at, int max)
{
	int number;

	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
		return -1;
	number = (at[0] - '0') * 10 + at[1] - '0';
	return number <= max ? number : -1;
}

/* "07:30" at @at. Return: minutes after midnight, or -1. */
static int clock_parse(const char *at)
{
	int hour = digits(at, 23), minute;

	if (hour < 0 || at[2] != ':')
		return -1;
	minute = digits(at + 3, 59);
	return minute < 0 ? -1 : hour * 60 + minute;
}

int hours_parse(struct hours *hours, const char *text)
{
	struct hours parsed = { .any = true };

	if (*text == '\0') {
		*hours = (struct hours){ .any = false };
		return 0;
	}
	if (strlen(text) != strlen("22:00-07:00") || text[5] != '-')
		return -EINVAL;
	parsed.begin = clock_parse(text);
	parsed.end = clock_parse(text + 6);
	if (parsed.begin < 0 || parsed.end < 0 || parsed.begin == parsed.end)
		return -EINVAL;
	*hours = parsed;
	return 0;
}

bool hours_contain(const struct hours *hours, const struct tm *local)
{
	int minute = local->tm_hour * 60 + local->tm_min;

	if (!hours->any)
		return false;
	if (hours->begin < hours->end)
		return minute >= hours->begin && minute < hours->end;
	return minute >= hours->begin || minute < hours->end;
}

time_t hours_end(const struct hours *hours, time_t now)
{
	struct tm local;
	time_t end;

	localtime_r(&now, &local);
	for (int days = 0;; days = 1) {
		struct tm then = local;

		then.tm_mday += days;
		then.tm_hour = hours->end / 60;
		then.tm_min = hours->end % 60;
		then.tm_sec = 0;
		then.tm_isdst = -1;
		end = mktime(&then);
		if (end > now || days == 1)
			return end > now ? end : now + 60;
	}
}
