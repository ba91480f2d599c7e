/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command line of forkbus-notify(1).
 */

#include <stdbool.h>

/* Documented in forkbus-notify(1). */
enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILURE = 1, /* no session bus, or it went away; a broker that refuses */
	STATUS_USAGE = 2,   /* the command line or the configuration is wrong */
	STATUS_GO_ON = -1   /* no exit yet */
};

#define RUNTIME_DIR "/run/forkbus"

struct options {
	char *config_file; /* NULL: none; owned */
	bool config_must_exist;
	const char *runtime_dir;
	const char *since; /* with test alone */
	bool test;
};

/* options_parse() - @options: to be freed by options_done(). Return: an exit status, all said, or STATUS_GO_ON. */
int options_parse(struct options *options, int argc, char **argv);

void options_done(struct options *options);
