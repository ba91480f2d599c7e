/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command line of those commands that show events: which, how, how many.
 */

#include <stdint.h>

#include "filter-options.h"

struct events_options {
	json_t *request; /* owned */
	uint64_t count;	 /* -n, or OUTPUT_ALL */
};

/*
 * events_options_parse() - read all options
 * @options: for getopt_long(), any of CTL_OPTIONS, CTL_OPTIONS_JSON, FILTER_OPTIONS and 'n'
 * Return: an exit status, after a message; or CTL_GO_ON, with optind at the first argument.
 */
int events_options_parse(struct events_options *wanted, struct ctl *ctl, int argc, char *argv[],
			 const struct option *options, const char *help);
void events_options_done(struct events_options *wanted);

/* Their part of --help. */
#define EVENTS_HELP_FILTER                                                                        \
	"Which events; lists are separated by commas, an option given again adds to its list:\n"  \
	"  --type=TYPE,...           fork exec exit id comm session chroot coredump ptrace\n"     \
	"  --pid=PID[@START],...     of these processes; START as in startUsec\n"                 \
	"  --uid=USER,...            of processes of these users, by name or number\n"            \
	"  --comm=PATTERN,...        of processes of such a name; * and ? as in a shell\n"        \
	"  --exe=PATTERN,...         of processes that run such a file\n"                         \
	"  --cgroup=PATTERN,...      of processes in such a cgroup\n"                             \
	"  --unit=PATTERN,...        of processes of such a systemd unit\n"                       \
	"  --status=STATUS,...       only exits: any success failure signal\n"                    \
	"  --min-elapsed=SPAN        only exits of processes that lived so long (5s, 1h 30min)\n" \
	"  --threads                 also those of threads\n"                                     \
	"  --since=CURSOR|-SPAN      from a cursor on, or since a time ago (-5min)\n"
#define EVENTS_HELP_OUTPUT                                                            \
	"\n"                                                                          \
	"How they are shown:\n"                                                       \
	"  --json=short|pretty|off   as JSON, on one line or on many; default: off\n" \
	"  -n, --lines=N             end after N events\n"
