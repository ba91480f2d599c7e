/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the table knows of who an event is about, for the sources of live events; and how a snapshot of /proc is taken into it.
 */

#include "core/bus.h"
#include "source/proc-snapshot.h"

/* known_process() - the event's process in the table; NULL where it holds none, or another one with the pid */
const struct process *known_process(const struct bus *bus, const struct fb_event *event);

/* known_describe() - what the table knows of it and the event has not got, of some fields */
void known_describe(const struct bus *bus, struct fb_event *event, uint64_t fields);

/* known_set_parent() - the parent, and its start where it is known */
void known_set_parent(const struct bus *bus, struct fb_event *event, uint32_t ppid);

/* known_inherit_exe() - a child runs its parent's program, which is no part of its fork but of what the table knows */
void known_inherit_exe(struct bus *bus, uint32_t pid, uint64_t start_usec, uint32_t ppid);

/*
 * known_take_entry() - one process of a snapshot
 * @gone: called where another one with its pid is in the table, to tell of its end
 */
void known_take_entry(struct bus *bus, struct proc_entry *entry, void (*gone)(void *userdata, uint32_t pid),
		      void *userdata);

/* known_take_parents() - when all entries are taken: parents may come after their children */
void known_take_parents(struct bus *bus, const struct proc_snapshot *snapshot);
