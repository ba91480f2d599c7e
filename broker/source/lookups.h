/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Add to an event what the table knows of its process, for the sources of live events; and take a snapshot of /proc into the
 * table.
 */

#include "core/hub.h"
#include "source/proc/snapshot.h"

/* lookup_process() - the event's process in the table; NULL: not there, or another process has the pid */
const struct process *lookup_process(const struct hub *hub, const struct fb_event *event);

/* lookup_describe() - what the table knows of it and the event has not got, of some fields */
void lookup_describe(const struct hub *hub, struct fb_event *event, field_set fields);
/* lookup_describe_by() - the same, where the process is known already; NULL is fine */
void lookup_describe_by(const struct process *process, struct fb_event *event, field_set fields);

/* lookup_set_parent() - the parent, and its start where it is known */
void lookup_set_parent(const struct hub *hub, struct fb_event *event, uint32_t ppid);

/* lookup_inherit_exe() - a child runs its parent's program, which is no part of its fork but of what the table knows */
void lookup_inherit_exe(struct hub *hub, uint32_t pid, uint64_t start_usec, uint32_t ppid);

/*
 * lookup_take_entry() - one process of a snapshot
 * @gone: called if the table has another process with the same pid, to report the end of that process
 */
void lookup_take_entry(struct hub *hub, struct proc_entry *entry, void (*gone)(void *userdata, uint32_t pid),
		       void *userdata);

/* lookup_take_parents() - when all entries are taken: parents may come after their children */
void lookup_take_parents(struct hub *hub, const struct proc_snapshot *snapshot);
