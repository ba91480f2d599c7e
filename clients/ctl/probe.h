/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What forkbusd finds out about its sources when it is run with --probe. Nothing else here knows any source.
 */

#include <stdbool.h>

#include <jansson.h>

enum {
	_PROBE_E_SUCCESS,
	PROBE_E_NO_BROKER, /* no forkbusd was found */
	PROBE_E_SILENT,	   /* its answer was not understood */
};

/*
 * probe_sources() - run it
 * @program: where forkbusd was found, or NULL; to be freed, whatever is returned
 * @works: set to whether it has a source of live events
 * @ret: an array of {"source": …, "works": …, "found": …, "advice": …}, on success only
 * Return: 0, PROBE_E_NO_BROKER, PROBE_E_SILENT, or a negative errno.
 */
int probe_sources(json_t **ret, char **program, bool *works);
