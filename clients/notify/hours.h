/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hours of the day, by the local clock: from a minute on, up to another one, which may be of the next day.
 */

#include <stdbool.h>
#include <time.h>

struct hours {
	bool any;	/* else there are none */
	int begin, end; /* minutes after midnight; they differ */
};

/* hours_parse() - "22:00-07:00", or nothing. Return: 0 or -EINVAL. */
int hours_parse(struct hours *hours, const char *text);

/* hours_contain() - is it this time? @local: of localtime(3) */
bool hours_contain(const struct hours *hours, const struct tm *local);

/* hours_end() - when they are over, for the first time after @now. Return: a time. */
time_t hours_end(const struct hours *hours, time_t now);
