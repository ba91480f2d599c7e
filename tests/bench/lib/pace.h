/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * When a publisher's next line is due, the same for all publishers: a rate per second, counted in ticks, or as fast as possible;
 * and the lines that they publish.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pace {
	uint64_t count, done;
	uint64_t rate; /* a second; 0: flat out */
	uint64_t tick_usec;
	uint64_t began_usec; /* CLOCK_MONOTONIC */
};

/* pace_begin() - from a line "COUNT RATE TICK_USEC …". Return: whether it is one. */
bool pace_begin(struct pace *pace, const char *line);
/* pace_due() - how many are due now, at most @most */
uint64_t pace_due(const struct pace *pace, uint64_t most);
/* pace_wait() - how long until some are, in µs */
uint64_t pace_wait(const struct pace *pace);

static inline bool pace_ends(const struct pace *pace)
{
	return pace->done == pace->count;
}

uint64_t now_usec(void);

struct text_line {
	char *data; /* with its newline */
	size_t len;
};

struct line_file {
	char *data;
	struct text_line *lines;
	size_t n, longest;
};

/* line_file_read() - all lines of a file; or die */
void line_file_read(struct line_file *file, const char *path);
