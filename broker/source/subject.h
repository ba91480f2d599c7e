/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The process that an event is about, in the table of living processes. A source resolves the subject of a record once,
 * completes the event with the fields of the table, and publishes it.
 */

#include "core/hub.h"

/* Valid until the event is published. After a fork the parent is still valid: it can have changed, but not ended. */
struct subject {
	const struct process *process; /* NULL: not in the table, or another process has the pid there */
	const struct process *parent;  /* that has the parent's pid; NULL: none, or not named by the event */
};

/* subject_find() - the event's process; NULL: not in the table, or another process has the pid there */
const struct process *subject_find(const struct hub *hub, const struct fb_event *event);

/* Fields that may have changed without an event. */
#define K(_member, _type, _changes) | SUBJECT_##_changes(_member)
#define SUBJECT_EXACT(_member)	    0
#define SUBJECT_LAST(_member)	    EVENT_BIT(_member)
static const field_set subject_unsure = 0
#include "event-kept-fields.h"
	;
#undef K

/* subject_describe() - add some fields that the event lacks from the table; NULL is allowed */
static inline void subject_describe(const struct process *process, struct fb_event *event, field_set fields)
{
	if (process)
		process_describe(process, event, fields & ~subject_unsure);
}

/* subject_set_parent() - the event's parent, and its start where it is known. Return: it; NULL: not in the table. */
const struct process *subject_set_parent(const struct hub *hub, struct fb_event *event, uint32_t ppid);

/*
 * subject_inherit_exe() - after a fork was published, set the child's program in the table
 * A child runs its parent's program; the event does not have it. NULL as @parent is allowed.
 */
void subject_inherit_exe(struct hub *hub, const struct process *parent, const struct fb_event *fork);
