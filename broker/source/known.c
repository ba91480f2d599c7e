// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/known.h"

#include "source/procfs.h"

const struct process *known_process(const struct bus *bus, const struct fb_event *event)
{
	const struct process *process = table_find(bus->table, event->pid);

	if (process && EVENT_HAS(event, start_usec) && (process->has & EVENT_BIT(start_usec)) &&
	    !event_same_start(process->start_usec, event->start_usec))
		return NULL;
	return process;
}

void known_describe(const struct bus *bus, struct fb_event *event, uint64_t fields)
{
	const struct process *process = known_process(bus, event);

	if (process)
		process_describe(process, event, fields);
}

void known_set_parent(const struct bus *bus, struct fb_event *event, uint32_t ppid)
{
	const struct process *parent = table_find(bus->table, ppid);

	EVENT_SET(event, ppid, ppid);
	if (parent && (parent->has & EVENT_BIT(start_usec)))
		EVENT_SET(event, parent_start_usec, parent->start_usec);
}

void known_inherit_exe(struct bus *bus, uint32_t pid, uint64_t start_usec, uint32_t ppid)
{
	const struct process *parent = table_find(bus->table, ppid);
	struct fb_event event;

	if (!parent || !(parent->has & EVENT_BIT(exe)))
		return;
	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, start_usec, start_usec);
	process_describe(parent, &event, EVENT_BIT(exe));
	(void)table_apply(bus->table, &event);
}

void known_take_entry(struct bus *bus, struct proc_entry *entry, void (*gone)(void *userdata, uint32_t pid),
		      void *userdata)
{
	const struct process *process = table_find(bus->table, entry->event.pid);
	const struct process *parent = table_find(bus->table, entry->event.ppid);

	if (process && !procfs_start_matches(entry->event.start_usec, process->start_usec)) {
		gone(userdata, entry->event.pid);
		process = NULL;
	}
	/* The first start that was told of a process is its name for good. */
	if (process)
		EVENT_SET(&entry->event, start_usec, process->start_usec);
	if (parent)
		EVENT_SET(&entry->event, parent_start_usec, parent->start_usec);
	(void)table_apply(bus->table, &entry->event);
}

void known_take_parents(struct bus *bus, const struct proc_snapshot *snapshot)
{
	const struct process *process, *parent;
	struct proc_entry entry;
	struct fb_event event;
	size_t at = 0;

	while (proc_snapshot_next(snapshot, &at, &entry)) {
		process = table_find(bus->table, entry.event.pid);
		parent = table_find(bus->table, entry.event.ppid);
		if (!process || !parent || process->has & EVENT_BIT(parent_start_usec))
			continue;
		fb_event_init(&event, EVENT_PROCESS);
		EVENT_SET(&event, pid, process->pid);
		EVENT_SET(&event, start_usec, process->start_usec);
		EVENT_SET(&event, ppid, parent->pid);
		EVENT_SET(&event, parent_start_usec, parent->start_usec);
		(void)table_apply(bus->table, &event);
	}
}
