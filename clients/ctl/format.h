/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An event as a line for people:
 *
 *   TIME         TYPE        PID    PPID USER     COMM            DETAILS
 *   07:13:17.123 exit       4711    4700 alice    make            code 2      1.24s  cpu 310ms+20ms
 *
 * An absent field is "-". On a terminal lines are cut to its width (below 100 columns PPID is left out); elsewhere
 * nothing is cut.
 */

#include "clients/lib/forkbus.h"
#include "term.h"

struct format;

/* @term: stays the caller's; its width may change between lines. Return: 0 or -ENOMEM. */
int format_new(struct format **ret, const struct term *term);
struct format *format_free(struct format *format);

static inline void format_p(struct format **format)
{
	format_free(*format);
}

/* Print the line with the names of the columns, for terminals. */
void format_header(struct format *format, FILE *file);

/*
 * format_event() - write an event's line
 * A line with the date precedes an event of another day than the previous event's (for the first event: than today).
 */
void format_event(struct format *format, FILE *file, const struct forkbus_event *event);

/*
 * A living process as a line for people:
 *
 *       PID    PPID USER          AGE COMM            DETAILS
 *      4711    4700 alice     2min 3s make            /usr/bin/make
 *
 * @branch: drawn before its name if the list is a tree, else NULL
 * @boot_usec: the current time of CLOCK_BOOTTIME
 */
void format_process(struct format *format, FILE *file, const struct forkbus_event *event, const char *branch,
		    uint64_t boot_usec);
void format_process_header(struct format *format, FILE *file);
