/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The list of sources: choosing one, and changing to another when the kernel module is loaded or unloaded.
 */

#include "config.h"
#include "source/source.h"

struct sources;

/*
 * sources_new() - start the configured source; for "auto" the best available one; logs which and why
 * If the module is the source, or could be, the broker watches from then on whether it is loaded or unloaded.
 * Return: 0 or a negative errno after logging the error.
 */
int sources_new(struct sources **ret, const struct config *config, struct hub *hub, struct event_base *base);
/* NULL is fine. Return: NULL. */
struct sources *sources_free(struct sources *sources);

/* sources_arm() - hub_armed() changed */
void sources_arm(struct sources *sources);

/* sources_describe() - the status of the current source: adds its own keys to a JSON object */
void sources_describe(const struct sources *sources, struct json_builder *object);

/* sources_probe() - print one JSON object per line on standard output for each source. Return: whether any works. */
bool sources_probe(void);
