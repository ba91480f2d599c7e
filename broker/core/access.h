/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who may see what: decided here once, for every face, for live events, history, snapshots and lists alike.
 *
 * Root and the members of the group see all. Anyone else sees the processes whose real uid is the own; an id
 * event also where the old uid was (a departure). Where the effective uid is not the own, I/O counters are
 * withheld. lost and source concern everyone.
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
