// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/lookups.h"

#include "source/proc/procfs.h"

const struct process *lookup_process(const struct hub *hub, const struct fb_event *event)
{
	const struct process *process = table_find(hub_table(hub), event->pid);

	if (process && EVENT_HAS(event, start_usec) && (process->has & EVENT_BIT(start_usec)) &&
	    !event_same_start(process->id.start_usec, event->start_usec))
		return NULL;
	return process;
}

/* They may have changed since they were seen, and no event said so. */
#define K(_member, _type, _changes) | KEPT_##_changes(_member)
#define KEPT_EXACT(_member)	    0
#define KEPT_LAST(_member)	    EVENT_BIT(_member)
static const field_set fields_unsure = 0
#include "event-kept-fields.h"
	;
#undef K

void lookup_describe_by(const struct process *process, struct fb_event *event, field_set fields)
{
	if (process)
		process_describe(process, event, fields & ~fields_unsure);
}

void lookup_describe(const struct hub *hub, struct fb_event *event, field_set fields)
{
	lookup_describe_by(lookup_process(hub, event), event, fields);
}

void lookup_set_parent(const struct hub *hub, struct fb_event *event, uint32_t ppid)
{
	const struct process *parent = table_find(hub_table(hub), ppid);

	EVENT_SET(event, ppid, ppid);
	if (parent && (parent->has & EVENT_BIT(start_usec)))
		EVENT_SET(event, parent_start_usec, parent->id.start_usec);
}

void lookup_inherit_exe(struct hub *hub, uint32_t pid, uint64_t start_usec, uint32_t ppid)
{
	const struct process *parent = table_find(hub_table(hub), ppid);
	struct fb_event event;

	if (!parent || !(parent->has & EVENT_BIT(exe)))
		return;
	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, start_usec, start_usec);
	process_describe(parent, &event, EVENT_BIT(exe));
	(void)hub_learn(hub, &event);
}

void lookup_take_entry(struct hub *hub, struct proc_entry *entry, void (*gone)(void *userdata, uint32_t pid),
		       void *userdata)
{
	const struct process *process = table_find(hub_table(hub), entry->event.pid);
	const struct process *parent = table_find(hub_table(hub), entry->event.ppid);

	if (process && !procfs_start_matches(entry->event.start_usec, process->id.start_usec)) {
		gone(userdata, entry->event.pid);
		process = NULL;
	}
	/* The start time that was published first identifies the process from then on. */
	if (process)
		EVENT_SET(&entry->event, start_usec, process->id.start_usec);
	if (parent)
		EVENT_SET(&entry->event, parent_start_usec, parent->id.start_usec);
	(void)hub_learn(hub, &entry->event);
}

void lookup_take_parents(struct hub *hub, const struct proc_snapshot *snapshot)
{
	const struct process *process, *parent;
	struct proc_entry entry;
	struct fb_event event;
	size_t at = 0;

	while (proc_snapshot_next(snapshot, &at, &entry)) {
		process = table_find(hub_table(hub), entry.event.pid);
		parent = table_find(hub_table(hub), entry.event.ppid);
		if (!process || !parent || process->has & EVENT_BIT(parent_start_usec))
			continue;
		fb_event_init(&event, EVENT_PROCESS);
		EVENT_SET(&event, pid, process->id.pid);
		EVENT_SET(&event, start_usec, process->id.start_usec);
		EVENT_SET(&event, ppid, parent->id.pid);
		EVENT_SET(&event, parent_start_usec, parent->id.start_usec);
		(void)hub_learn(hub, &event);
	}
}
