/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is private of a process that runs, or has run, a program with other rights than its user's.
 *
 * A program is privileged if its real and effective ids differ, if it changed its ids itself, if the kernel protects it from
 * its user (as it protects a program with file capabilities, see procfs.h), or if a privileged program forked it. This ends
 * with the next exec that makes none of this true. What is not known counts as privileged: ids that are not known, a process
 * whose beginning was not seen, and after a loss of events every process, until /proc or an event shows the contrary.
 *
 * The table keeps the marks of a living process, and each record of the log has its own, so live events, history, snapshots
 * and lists have the same. The private column of proto/event-fields.toml says which fields each mark withholds.
 */

#include "event.h"

struct process;

#define PRIVACY_UNKNOWN UINT32_MAX

#define PRIVACY_IDS (EVENT_BIT(uid) | EVENT_BIT(gid) | EVENT_BIT(euid) | EVENT_BIT(egid))

/* What the ids of an event say alone. */
static inline uint32_t privacy_of_ids(const struct fb_event *event)
{
	bool own = (event->has & PRIVACY_IDS) == PRIVACY_IDS && event->uid == event->euid &&
		   event->gid == event->egid;

	return own ? PRIVACY_NONE : PRIVACY_ALL;
}

/* The marks of an event of the log, or of a process event that a subscriber gets. Records have the field only if it says more. */
static inline uint32_t privacy_of(const struct fb_event *event)
{
	return EVENT_HAS(event, privacy) ? event->privacy & PRIVACY_ALL : privacy_of_ids(event);
}

/*
 * privacy_after_event() - the marks of an event that a source publishes
 * @process: before the event; NULL: not known
 * @known: its marks are still right; false: events were lost
 * @parent: of a fork: the marks of the process that called it, or PRIVACY_UNKNOWN
 * The privacy that the event has already is what the source saw: in /proc, whether the kernel protects the program.
 */
uint32_t privacy_after_event(const struct process *process, bool known, uint32_t parent,
			     const struct fb_event *event);

/*
 * privacy_after_learning() - the marks of a process after its data were read from /proc
 * @process: before; NULL: not known
 */
uint32_t privacy_after_learning(const struct process *process, const struct fb_event *learned);
