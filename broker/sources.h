/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which sources there are, which one to take, and another one when the kernel module comes or goes.
 */

#include "config.h"
#include "source/source.h"

struct sources;

/*
 * sources_new() - begin the configured source; for "auto" the first that works, best first, saying which and why
 * Where the module is the source, or could be, its being loaded and unloaded is watched from then on.
 * Return: 0 or a negative errno after saying what was wrong.
 */
int sources_new(struct sources **ret, const struct config *config, struct hub *hub, struct event_base *base);
/* NULL is fine. Return: NULL. */
struct sources *sources_free(struct sources *sources);

/* sources_arm() - hub_armed() changed */
void sources_arm(struct sources *sources);

/* sources_describe() - the status of the current source: adds its own keys to a JSON object */
void sources_describe(const struct sources *sources, json_t *object);

/* sources_probe() - one JSON object a line on standard output for each source. Return: whether any works. */
bool sources_probe(void);
