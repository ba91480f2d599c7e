// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/connector.h"

void connector_begin(struct connector *connector, struct fb_event *event, enum event_type type, uint64_t nsec,
		     uint32_t pid)
{
	const struct process *process = table_find(hub_table(connector->hub), pid);
	const struct group *group = groups_find(connector->groups, pid);

	fb_event_init(event, type);
	EVENT_SET(event, boot_usec, connector_boot_usec(connector, nsec));
	EVENT_SET(event, time_usec, connector_time_usec(connector, nsec));
	EVENT_SET(event, pid, pid);
	/* The start time that was published first identifies the process from then on. */
	if (process)
		process_describe(process, event, EVENT_BIT(start_usec));
	else if (group && group->fork_nsec)
		EVENT_SET(event, start_usec, connector_boot_usec(connector, group->fork_nsec));
}

void connector_publish(struct connector *connector, struct fb_event *event)
{
	resync_note(connector->resync, event);
	hub_publish(connector->hub, event);
}

/* Questions and answers */

struct proc_question *connector_ask(struct connector *connector, uint32_t pid, field_set fields,
				    unsigned int purpose)
{
	struct proc_question *question = proc_helper_ask(connector->helper, pid, fields);

	if (question) {
		question->purpose = purpose;
		connector->stats.proc_reads++;
	} else {
		connector->stats.proc_skipped++;
	}
	return question;
}
