/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An event as a line for people:
 *
 *   TIME         TYPE        PID    PPID USER     COMM            DETAILS
 *   07:13:17.123 exit       4711    4700 alice    make            code 2      1.24s  cpu 310ms+20ms
 *
 * What an event does not have is "-". On a terminal everything is cut to its width (below 100 columns PPID is
 * left out); elsewhere nothing is cut.
 */

#include "clients/lib/forkbus.h"
#include "term.h"

struct format;

/* @term: borrowed; may change its width between lines. Return: 0 or -ENOMEM. */
int format_new(struct format **ret, const struct term *term);
struct format *format_free(struct format *format);

static inline void format_p(struct format **format)
{
	format_free(*format);
}

/* The line above, for terminals. */
void format_header(struct format *format, FILE *file);

/*
 * format_event() - write an event's line
 * Before the first event of another day than the one before (at first: than today) goes a line with the date.
 */
void format_event(struct format *format, FILE *file, const struct forkbus_event *event);

/*
 * A living process as a line for people:
 *
 *       PID    PPID USER          AGE COMM            DETAILS
 *      4711    4700 alice     2min 3s make            /usr/bin/make
 *
 * @branch: put before its name, where processes stand below each other as a tree; NULL where they do not.
 * @boot_usec: now, CLOCK_BOOTTIME
 */
void format_process(struct format *format, FILE *file, const struct forkbus_event *event, const char *branch,
		    uint64_t boot_usec);
void format_process_header(struct format *format, FILE *file);
