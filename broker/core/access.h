/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which subscriber may see which event: decided here once, for every face, for live events, history, snapshots and lists.
 *
 * Root and the members of the group see all. Other users see the processes whose real uid is their own; id events also if
 * the old uid was. Where the effective uid is not their own, I/O counters and arguments are withheld. Everyone sees lost
 * and source.
 */

#include "event.h"

struct peer;

struct visibility {
	bool all;
	uint32_t uid; /* when not all */
};

struct visibility access_of(const struct peer *peer);

/* access_fields() - the fields of an event that may be shown; 0: it may not be seen at all */
field_set access_fields(struct visibility visibility, const struct fb_event *event);
