/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the user set: the defaults, then notify.conf; forkbus-notify.conf(5) says what each option means.
 *
 * The file is INI: [Section], Key=value, comments from # or ; at the beginning of a line, or from a ; after white space. Lists
 * of globs are added to by each assignment, and emptied by an empty one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hours.h"
#include "pattern.h"

/* How a process ended, from the least to the most remarkable. */
enum kind { KIND_UNKNOWN, KIND_STOPPED, KIND_SUCCESS, KIND_FAILURE, KIND_CRASH, _KIND_MAX };

/* With the numbers of the notification protocol. */
enum urgency { URGENCY_LOW, URGENCY_NORMAL, URGENCY_CRITICAL };

/* Which commands are told of. */
enum scope {
	SCOPE_SHELL,	/* children of what leads the session of a terminal */
	SCOPE_TERMINAL, /* all that have one */
	SCOPE_ALL
};

struct globs {
	struct pattern **patterns;
	size_t n;
};

/* Texts of a process that globs are for */
enum about { ABOUT_COMM, ABOUT_EXE, ABOUT_CGROUP, _ABOUT_MAX };

struct selection {
	struct globs ignore[_ABOUT_MAX], only[_ABOUT_MAX];
};

#define CONF_CODES_MAX	   256
#define CONF_ON_SCREEN_MAX 20
#define CONF_GLOBS_MAX	   512

struct conf {
	/* [Commands] */
	unsigned int show; /* bits of enum kind: success, failure, stopped */
	enum scope scope;
	uint64_t min_elapsed_usec;
	bool stopped[CONF_CODES_MAX]; /* by exit code, or 128 and the signal */
	enum urgency success_urgency, failure_urgency;
	struct selection commands;

	/* [Crashes] */
	bool show_crashes;
	enum urgency crash_urgency;
	struct selection crashes;

	/* [Notifications] */
	uint64_t on_screen;
	struct hours quiet;
	bool quiet_crashes; /* are shown in quiet hours too */
};

enum {
	_CONF_E_SUCCESS,
	CONF_E_INVALID, /* all said */
};

/* conf_init() - the defaults. Return: 0 or -ENOMEM. */
int conf_init(struct conf *conf);

/* conf_done() - free what it holds. One of zeros is fine. */
void conf_done(struct conf *conf);

/*
 * conf_set() - set one option, as a line of the file would
 * @why: set to what is wrong, for people, where CONF_E_INVALID is returned
 * Return: 0, CONF_E_INVALID, -ENOMEM; on failure lists may have been added to.
 */
int conf_set(struct conf *conf, const char *section, const char *key, const char *value, const char **why);

/*
 * conf_load() - the defaults, and what a file sets
 * @conf: to be freed by conf_done(); untouched on failure
 * @path: NULL: none. Without @must_exist one that is not there sets nothing
 * Return: 0; CONF_E_INVALID or a negative errno, having said what is wrong, where, and what is expected.
 */
int conf_load(struct conf *conf, const char *path, bool must_exist);

/* globs_match() - does any of them match? */
bool globs_match(const struct globs *globs, const char *data, size_t len);
