/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which sources there are, and which one to take.
 */

#include "config.h"
#include "source/source.h"

/*
 * sources_start() - begin the configured source; for "auto" the first that works, best first, saying which and why
 * Return: 0 or a negative errno after saying what was wrong.
 */
int sources_start(struct source **ret, const struct config *config, struct bus *bus, struct event_base *base);

/* sources_probe() - one JSON object a line on standard output for each source. Return: whether any works. */
bool sources_probe(void);
