// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "source/connector/connector.h"
#include "source/lookups.h"

/* Of more children than this the new parent is not asked for, and is known when they end. */
#define ORPHANS_MAX 64

static void set_usage(struct fb_event *event, const struct taskstats_usage *usage, field_set fields)
{
#define SET(_member, _value)             \
	if (fields & EVENT_BIT(_member)) \
	EVENT_SET(event, _member, _value)
	SET(user_usec, usage->user_usec);
	SET(system_usec, usage->system_usec);
	SET(max_rss_kib, usage->max_rss_kib);
	SET(minor_faults, usage->minor_faults);
	SET(major_faults, usage->major_faults);
	SET(voluntary_switches, usage->voluntary);
	SET(involuntary_switches, usage->involuntary);
	SET(read_bytes, usage->read_bytes);
	SET(write_bytes, usage->write_bytes);
	SET(read_chars, usage->read_chars);
	SET(write_chars, usage->write_chars);
#undef SET
}

static void tell_thread_exit(struct connector *connector, const struct cn_event *cn,
			     const struct group_exit *exit)
{
	struct fb_event event;

	if (!(hub_armed(connector->hub) & HUB_ARMED_THREADS) || cn->tgid == connector->self ||
	    cn->tid == cn->tgid)
		return;
	connector_begin(connector, &event, EVENT_EXIT, cn->nsec, cn->tgid);
	EVENT_SET(&event, tid, cn->tid);
	fb_event_set_status(&event, cn->exit.code & 0xffff);
	if (exit->has_record) {
		set_usage(&event, &exit->record.usage, FIELDS_ALL);
		EVENT_SET(&event, elapsed_usec, exit->record.elapsed_usec);
	}
	lookup_describe(connector->hub, &event, ~EVENT_BIT(exe));
	hub_publish(connector->hub, &event);
}

/* The children that live get another parent. */
static void ask_orphans(struct connector *connector, const struct process *process)
{
	unsigned int n = 0;

	for (const struct process *child = process->children; child && n < ORPHANS_MAX;
	     child = child->sibling, n++)
		(void)connector_ask(connector, child->pid, 0, CONNECTOR_PARENT);
}

/* The parent as of the exit: told by the message, by the record, or known before. */
static void set_parent(struct connector *connector, struct fb_event *event, const struct process *process,
		       uint32_t ppid)
{
	if (!ppid || (process && (process->has & EVENT_BIT(ppid)) && process->ppid == ppid))
		return;
	lookup_set_parent(connector->hub, event, ppid);
}

static void tell_end(struct connector *connector, struct fb_event *event, const struct group_end *end,
		     uint32_t ppid)
{
	const struct process *process = lookup_process(connector->hub, event);
	field_set fields = FIELDS_ALL;

	if (end->has_status)
		fb_event_set_status(event, end->status);
	set_usage(event, &end->usage, end->has);
	set_parent(connector, event, process, ppid ? ppid : end->has_task ? end->ppid : 0);
	if (EVENT_HAS(event, ppid))
		fields &= ~EVENT_BIT(parent_start_usec);
	lookup_describe(connector->hub, event, fields);
	if (end->has_task) {
		if (!EVENT_HAS(event, comm))
			EVENT_SET(event, comm, event_text(end->comm));
		if (!EVENT_HAS(event, uid))
			EVENT_SET(event, uid, end->uid);
		if (!EVENT_HAS(event, gid))
			EVENT_SET(event, gid, end->gid);
	}
	if (process)
		ask_orphans(connector, process);
	hub_publish(connector->hub, event);
}

static void set_elapsed(struct fb_event *event)
{
	if (EVENT_HAS(event, start_usec) && event->boot_usec >= event->start_usec)
		EVENT_SET(event, elapsed_usec, event->boot_usec - event->start_usec);
}

/* Of a process that nobody told of, its last thread tells; without records, its leader. */
static void tell_stray(struct connector *connector, const struct cn_event *cn, const struct group_exit *exit)
{
	struct group_end end = { .has_status = true, .status = cn->exit.code & 0xffff };
	struct fb_event event;

	if (connector->taskstats ? !exit->has_record || !(exit->record.flags & TASKSTATS_AGROUP)
				 : cn->tid != cn->tgid)
		return;
	if (exit->has_record)
		group_end_stray(exit, &end);
	connector_begin(connector, &event, EVENT_EXIT, cn->nsec, cn->tgid);
	/* Told by the record instead of a fork: shorter than the life by what tearing down took. */
	if (exit->has_record && !exit->record.has_group)
		EVENT_SET(&event, start_usec, event.boot_usec - exit->record.elapsed_usec);
	set_elapsed(&event);
	tell_end(connector, &event, &end, cn->exit.parent_tgid);
}

void connector_tell_exit(struct connector *connector, const struct cn_event *cn)
{
	struct group_exit exit;
	struct group_end end;
	struct fb_event event;

	groups_exit(connector->groups, cn, &exit);
	if (!exit.group) {
		tell_stray(connector, cn, &exit);
		return;
	}
	tell_thread_exit(connector, cn, &exit);
	if (!exit.ended)
		return;
	connector_begin(connector, &event, EVENT_EXIT, cn->nsec, cn->tgid);
	group_end(connector->groups, exit.group, &end);
	set_elapsed(&event);
	tell_end(connector, &event, &end, cn->exit.parent_tgid);
	groups_remove(connector->groups, exit.group);
}

void connector_tell_gone(struct connector *connector, uint32_t pid, uint64_t nsec)
{
	struct group *group = groups_find(connector->groups, pid);
	struct group_end end = {};
	struct fb_event event;

	connector_begin(connector, &event, EVENT_EXIT, nsec, pid);
	/* Nobody saw when it ended, but its records may have come. */
	if (group) {
		groups_settle(connector->groups, group, nsec);
		group_end(connector->groups, group, &end);
	}
	tell_end(connector, &event, &end, 0);
	if (group)
		groups_remove(connector->groups, group);
}
