/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The configuration: the defaults, then notify.conf. forkbus-notify.conf(5) describes the options.
 *
 * base/ini.h describes the syntax of the file. An assignment to a list of globs adds to it, an empty one clears it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "pattern.h"

/* How a process ended, from the least to the most remarkable. */
enum kind { KIND_UNKNOWN, KIND_STOPPED, KIND_SUCCESS, KIND_FAILURE, KIND_CRASH, _KIND_MAX };

/* The numbers are those of the notification protocol. */
enum urgency { URGENCY_LOW, URGENCY_NORMAL, URGENCY_CRITICAL };

/* Which commands cause notifications. */
enum scope {
	SCOPE_SHELL,	/* children of a session leader on a terminal: commands typed at a prompt */
	SCOPE_TERMINAL, /* all commands on a terminal */
	SCOPE_ALL
};

#define CODES_MAX 256
#define GLOBS_MAX 512

/* A part of the day in local time; it may include midnight. */
struct hours {
	bool any;	/* false: no hours are set */
	int begin, end; /* minutes after midnight; they differ */
};

struct globs {
	struct pattern **patterns;
	size_t n;
};

/* Texts of a process that globs are matched with */
enum about { ABOUT_COMM, ABOUT_EXE, ABOUT_CGROUP, _ABOUT_MAX };

struct selection {
	struct globs ignore[_ABOUT_MAX], only[_ABOUT_MAX];
};

#define ON_SCREEN_MAX 20

struct notify_config {
	/* [Commands] */
	unsigned int show; /* bits of enum kind: success, failure, stopped */
	enum scope scope;
	uint64_t min_elapsed_usec;
	bool stopped[CODES_MAX]; /* by exit code, or 128 plus the signal */
	enum urgency success_urgency, failure_urgency;
	struct selection commands;

	/* [Crashes] */
	bool show_crashes;
	enum urgency crash_urgency;
	struct selection crashes;

	/* [Notifications] */
	uint64_t on_screen;
	struct hours quiet;
	bool quiet_crashes; /* crashes are shown in quiet hours, too */
};

enum {
	_CONFIG_E_SUCCESS,
	CONFIG_E_INVALID,
};

/* notify_config_init() - the defaults. Return: 0 or -ENOMEM. */
int notify_config_init(struct notify_config *config);

/* notify_config_done() - free its memory. A zeroed configuration is fine. */
void notify_config_done(struct notify_config *config);

/*
 * notify_config_set() - set one option, as a line of the file would
 * @why: set to a description of the error if CONFIG_E_INVALID is returned
 * Return: 0, CONFIG_E_INVALID, -ENOMEM; on failure, part of a list may have been added.
 */
int notify_config_set(struct notify_config *config, const char *section, const char *key, const char *value,
		      const char **why);

/*
 * notify_config_load() - load the defaults, then a file
 * @config: to be freed by notify_config_done(); unchanged on failure
 * @path: NULL: no file. Without @must_exist a missing file is ignored
 * Return: 0, CONFIG_E_INVALID, or a negative errno; the error and its line were logged.
 */
int notify_config_load(struct notify_config *config, const char *path, bool must_exist);
