// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/subject.h"

const struct process *subject_find(const struct hub *hub, const struct fb_event *event)
{
	const struct process *process = table_find(hub_table(hub), event->pid);

	if (process && EVENT_HAS(event, start_usec) && (process->has & EVENT_BIT(start_usec)) &&
	    !event_same_start(process->id.start_usec, event->start_usec))
		return NULL;
	return process;
}

const struct process *subject_set_parent(const struct hub *hub, struct fb_event *event, uint32_t ppid)
{
	const struct process *parent = table_find(hub_table(hub), ppid);

	EVENT_SET(event, ppid, ppid);
	if (parent && (parent->has & EVENT_BIT(start_usec)))
		EVENT_SET(event, parent_start_usec, parent->id.start_usec);
	return parent;
}

void subject_inherit_exe(struct hub *hub, const struct process *parent, const struct fb_event *fork)
{
	struct fb_event event;

	if (!parent || !(parent->has & EVENT_BIT(exe)))
		return;
	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, pid, fork->pid);
	EVENT_SET(&event, start_usec, fork->start_usec);
	process_describe(parent, &event, EVENT_BIT(exe));
	(void)hub_learn(hub, &event);
}
