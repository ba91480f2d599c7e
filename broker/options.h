/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command line: its options override the configuration file.
 */

#include "config.h"

struct options {
	const char *config_file;				       /* --config=, or the default */
	bool config_must_exist;					       /* because it was named */
	const char *bus, *source, *runtime_dir, *log_size, *arguments; /* as given, or NULL */
	bool foreground;
	bool probe;
};

enum {
	_OPTIONS_E_SUCCESS,
	OPTIONS_E_DONE,	   /* --help or --version was answered: exit with success */
	OPTIONS_E_INVALID, /* reported on standard error: exit with OPTIONS_EXIT_USAGE */
};

#define OPTIONS_EXIT_USAGE 2

int options_parse(struct options *options, int argc, char **argv);

/*
 * options_load() - the configuration: defaults, the file, the command line
 * Return: 0, OPTIONS_E_INVALID (logged), or a negative errno.
 */
int options_load(const struct options *options, struct config *config);
