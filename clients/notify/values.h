/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The types of options that forkbus-notify.conf(5) has, and their values in text.
 *
 * Each parser returns 0, or -EINVAL for a text that is no such value; then the value is unchanged, unless it is a list.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "pattern.h"

/* How a process ended, from the least to the most remarkable. */
enum kind { KIND_UNKNOWN, KIND_STOPPED, KIND_SUCCESS, KIND_FAILURE, KIND_CRASH, _KIND_MAX };

/* With the numbers of the notification protocol. */
enum urgency { URGENCY_LOW, URGENCY_NORMAL, URGENCY_CRITICAL };

/* Which commands are notified of. */
enum scope {
	SCOPE_SHELL,	/* children of a session's leader on a terminal: what was typed at a prompt */
	SCOPE_TERMINAL, /* all on a terminal */
	SCOPE_ALL
};

#define CODES_MAX 256
#define GLOBS_MAX 512

/* Hours of the day by the local clock, from one minute to another, which may be of the next day. */
struct hours {
	bool any;	/* else there are none */
	int begin, end; /* minutes after midnight; they differ */
};

struct globs {
	struct pattern **patterns;
	size_t n;
};

int flag_parse(bool *flag, const char *text);
int urgency_parse(enum urgency *urgency, const char *text);
int scope_parse(enum scope *scope, const char *text);

/* number_parse() - a decimal number from 1 to @max, which is less than 1000 */
int number_parse(uint64_t *number, const char *text, int max);

/* kinds_parse() - words of success, failure and stopped, or none. @kinds: bits of enum kind. */
int kinds_parse(unsigned int *kinds, const char *text);

/* codes_parse() - numbers from 1 to 255, or none */
int codes_parse(bool codes[static CODES_MAX], const char *text);

/* hours_parse() - "22:00-07:00", or "" */
int hours_parse(struct hours *hours, const char *text);

/* hours_contain() - is it this time? @local: of localtime(3) */
bool hours_contain(const struct hours *hours, const struct tm *local);

/* hours_end() - when they are over, for the first time after @now. Return: a time. */
time_t hours_end(const struct hours *hours, time_t now);

/*
 * globs_add() - add the words of a text; one without any empties the list
 * @why: set to a constant sentence where -EINVAL is returned
 * Return: 0, -EINVAL, -ENOMEM; on failure the words before stay in the list.
 */
int globs_add(struct globs *globs, const char *text, const char **why);
void globs_done(struct globs *globs);

/* globs_match() - does any of them match? */
bool globs_match(const struct globs *globs, const char *data, size_t len);
