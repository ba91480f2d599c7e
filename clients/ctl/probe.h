/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Runs forkbusd --probe, which tests each of its sources. Nothing else in forkbusctl depends on particular sources.
 */

#include <stdbool.h>

#include <jansson.h>

enum {
	_PROBE_E_SUCCESS,
	PROBE_E_NO_BROKER, /* no forkbusd was found */
	PROBE_E_SILENT,	   /* its output is not valid */
};

/*
 * probe_sources() - run forkbusd --probe
 * @program: where forkbusd was found, or NULL; to be freed in any case
 * @works: whether a source of live events works
 * @ret: an array of {"source": …, "works": …, "found": …, "advice": …}, on success only
 * Return: 0, PROBE_E_NO_BROKER, PROBE_E_SILENT, or a negative errno.
 */
int probe_sources(json_t **ret, char **program, bool *works);
