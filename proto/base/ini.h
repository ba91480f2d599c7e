/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Configuration files: [Section], Key=value, comments from # or ; at the beginning of a line, or from a ; after white space.
 */

#include <stdbool.h>
#include <stddef.h>

#define INI_WHY_MAX 256

/*
 * ini_set_fn - take one option
 * @why: set to what is wrong with it, for people, where the return is positive
 * Return: 0, positive where it is refused, or a negative errno.
 */
typedef int (*ini_set_fn)(void *userdata, const char *section, const char *key, const char *value,
			  char why[static INI_WHY_MAX]);

enum {
	_INI_E_SUCCESS,
	INI_E_INVALID, /* what is wrong was logged, with the line's number */
};

/*
 * ini_load() - read a file
 * Only the first mistake is reported, but @set may be called for options after it: have it set a copy.
 * @must_exist: else a file that is not there has no options
 * Return: 0, INI_E_INVALID, or a negative errno, each logged.
 */
int ini_load(const char *path, bool must_exist, ini_set_fn set, void *userdata);
