/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From options to a request (proto/request.h):
 *
 *   --type=exec,exit --uid=alice   {"types":["exec","exit"],"uids":[1000]}
 *
 * Lists are separated by commas, and an option given again adds to its list; a comma in a pattern is written
 * "\,". What the values may be is the broker's to judge, which may be newer than this program; only what must
 * be translated is looked at here.
 */

#include <getopt.h>

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
	_FILTER_OPTIONS_E_SUCCESS,
	FILTER_OPTIONS_E_INVALID, /* explained in struct filter_error, whose key is the option */
	FILTER_OPTIONS_E_OTHER,	  /* not one of these */
};

/*
 * filter_options_take() - add one option to a request, an object
 * @value: NULL for an option without one
 * Return: 0, FILTER_OPTIONS_E_INVALID, FILTER_OPTIONS_E_OTHER, or -ENOMEM.
 */
int filter_options_take(json_t *request, int option, const char *value, struct filter_error *error);

/* The option that makes a key of a request ("types": "--type"), or NULL. */
const char *filter_option_of_key(const char *key);
