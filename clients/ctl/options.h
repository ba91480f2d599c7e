/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command line of the commands that show events or processes: filter, output format, number of events. Options become
 * a request (proto/request.h):
 *
 *   --type=exec,exit --uid=alice   {"types":["exec","exit"],"uids":[1000]}
 *
 * Lists are separated by commas, and a repeated option adds to its list; a comma in a pattern is written "\,". The
 * broker, which may be newer than this program, checks the values; only values that must be converted are checked here.
 */

#include <getopt.h>
#include <stdint.h>

#include <jansson.h>

#include "ctl.h"
#include "filter.h"

enum filter_option {
	FILTER_OPTION_TYPE = _CTL_OPTION_MAX,
	FILTER_OPTION_PID,
	FILTER_OPTION_TREE,
	FILTER_OPTION_UID,
	FILTER_OPTION_COMM,
	FILTER_OPTION_EXE,
	FILTER_OPTION_CGROUP,
	FILTER_OPTION_UNIT,
	FILTER_OPTION_STATUS,
	FILTER_OPTION_MIN_ELAPSED,
	FILTER_OPTION_THREADS,
	FILTER_OPTION_SNAPSHOT,
	FILTER_OPTION_SINCE,
	_FILTER_OPTION_MAX,
};

#define FILTER_OPTIONS                                                                 \
	{ "type", required_argument, NULL, FILTER_OPTION_TYPE },                       \
		{ "pid", required_argument, NULL, FILTER_OPTION_PID },                 \
		{ "tree", required_argument, NULL, FILTER_OPTION_TREE },               \
		{ "uid", required_argument, NULL, FILTER_OPTION_UID },                 \
		{ "comm", required_argument, NULL, FILTER_OPTION_COMM },               \
		{ "exe", required_argument, NULL, FILTER_OPTION_EXE },                 \
		{ "cgroup", required_argument, NULL, FILTER_OPTION_CGROUP },           \
		{ "unit", required_argument, NULL, FILTER_OPTION_UNIT },               \
		{ "status", required_argument, NULL, FILTER_OPTION_STATUS },           \
		{ "min-elapsed", required_argument, NULL, FILTER_OPTION_MIN_ELAPSED }, \
		{ "threads", no_argument, NULL, FILTER_OPTION_THREADS },               \
		{ "snapshot", no_argument, NULL, FILTER_OPTION_SNAPSHOT },             \
	{                                                                              \
		"since", required_argument, NULL, FILTER_OPTION_SINCE                  \
	}

enum {
	_OPTIONS_E_SUCCESS,
	OPTIONS_E_INVALID, /* described by struct filter_error, whose key is the option */
	OPTIONS_E_OTHER,   /* not one of these options */
};

/*
 * options_take() - add one option to a request, an object
 * @value: NULL for an option without one
 * Return: 0, OPTIONS_E_INVALID, OPTIONS_E_OTHER, or -ENOMEM.
 */
int options_take(json_t *request, int option, const char *value, struct filter_error *error);

/* The option that sets a key of a request ("types": "--type"), or NULL. */
const char *option_of_key(const char *key);

struct options {
	json_t *request; /* owned */
	uint64_t count;	 /* -n, or OUTPUT_ALL */
};

/*
 * options_parse() - read all options
 * @options: for getopt_long(), any of CTL_OPTIONS, CTL_OPTIONS_JSON, FILTER_OPTIONS and 'n'
 * Return: an exit status, after a message; or CTL_GO_ON, with optind at the first argument.
 */
int options_parse(struct options *wanted, struct ctl *ctl, int argc, char *argv[],
		  const struct option *options, const char *help);
void options_done(struct options *wanted);

/* Descriptions of these options for --help. */
#define EVENTS_HELP_FILTER                                                                               \
	"Which events; lists are separated by commas, an option given again adds to its list:\n"         \
	"  --type=TYPE,...           fork exec exit id comm session chroot coredump ptrace\n"            \
	"  --pid=PID[@START],...     of these processes; START as in startUsec\n"                        \
	"  --uid=USER,...            of processes of these users, by name or number\n"                   \
	"  --comm=PATTERN,...        of processes with such a name; * and ? as in a shell\n"             \
	"  --exe=PATTERN,...         of processes that run a matching file\n"                            \
	"  --cgroup=PATTERN,...      of processes in a matching cgroup\n"                                \
	"  --unit=PATTERN,...        of processes of a matching systemd unit\n"                          \
	"  --status=STATUS,...       only exits: any success failure signal\n"                           \
	"  --min-elapsed=SPAN        only exits of processes that lived SPAN or longer (5s, 1h 30min)\n" \
	"  --threads                 also events of threads\n"                                           \
	"  --since=CURSOR|-SPAN      from a cursor on, or since a time ago (-5min)\n"
#define EVENTS_HELP_OUTPUT                                                            \
	"\n"                                                                          \
	"How they are shown:\n"                                                       \
	"  --json=short|pretty|off   as JSON, on one line or on many; default: off\n" \
	"  -n, --lines=N             end after N events\n"
