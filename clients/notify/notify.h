/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service: ends of processes from the broker, through the rules, to the notification server or to standard output.
 */

#include "config.h"

/* Documented in forkbus-notify(1). */
enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILURE = 1, /* no session bus, or the connection to it was lost; or the broker refused */
	STATUS_USAGE = 2,   /* the command line or the configuration is wrong */
	STATUS_GO_ON = -1   /* do not exit yet */
};

/* The command line */
struct options {
	char *config_file; /* NULL: none; owned */
	bool config_must_exist;
	const char *runtime_dir;
	const char *since; /* only with test */
	bool test;
};

/* notify_run() - @config: ownership is taken. Return: an exit status; an error was logged. */
int notify_run(const struct options *options, struct notify_config *config);
