// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "source/connector/connector.h"
#include "source/subject.h"

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

static void publish_thread_exit(struct connector *connector, const struct cn_event *cn,
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
	subject_describe(subject_find(connector->hub, &event), &event, ~EVENT_BIT(exe));
	connector_publish(connector, &event);
}

/* The children that live get another parent. */
static void ask_orphans(struct connector *connector, const struct process *process)
{
	unsigned int n = 0;

	for (const struct process *child = process->children; child && n < ORPHANS_MAX;
	     child = child->sibling, n++)
		(void)connector_ask(connector, child->id.pid, 0, CONNECTOR_PARENT);
}

/* The parent at the time of the exit: from the message, from the record, or from an earlier event. */
static void set_parent(struct connector *connector, struct fb_event *event, const struct process *process,
		       uint32_t ppid)
{
	if (!ppid || (process && (process->has & EVENT_BIT(ppid)) && process->ppid == ppid))
		return;
	(void)subject_set_parent(connector->hub, event, ppid);
}

static void publish_end(struct connector *connector, struct fb_event *event, const struct group_end *end,
			uint32_t ppid)
{
	const struct process *process = subject_find(connector->hub, event);
	field_set fields = FIELDS_ALL;

	if (end->has_status)
		fb_event_set_status(event, end->status);
	set_usage(event, &end->usage, end->has);
	set_parent(connector, event, process, ppid ? ppid : end->has_task ? end->ppid : 0);
	if (EVENT_HAS(event, ppid))
		fields &= ~EVENT_BIT(parent_start_usec);
	subject_describe(subject_find(connector->hub, event), event, fields);
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
	connector_publish(connector, event);
}

static void set_elapsed(struct fb_event *event)
{
	if (EVENT_HAS(event, start_usec) && event->boot_usec >= event->start_usec)
		EVENT_SET(event, elapsed_usec, event->boot_usec - event->start_usec);
}

static bool is_of_ended(const struct connector *connector, const struct cn_event *cn,
			const struct group_exit *exit)
{
	uint64_t born = connector_boot_usec(connector, cn->nsec);

	if (!exit->has_record)
		return false;
	born -= exit->record.elapsed_usec < born ? exit->record.elapsed_usec : born;
	return resync_ended_after(connector->resync, cn->tgid, born + EVENT_START_SLACK_USEC);
}

/*
 * The exit of a thread whose process is not known: its last thread reports the end; without records, its leader. A thread
 * that began before the end of its process was reported belongs to that one: a scan counts threads whose exit is on its way.
 */
static void publish_stray(struct connector *connector, const struct cn_event *cn,
			  const struct group_exit *exit)
{
	struct group_end end = { .has_status = true, .status = cn->exit.code & 0xffff };
	struct fb_event event;

	if (connector->taskstats ? !exit->has_record || !(exit->record.flags & TASKSTATS_AGROUP)
				 : cn->tid != cn->tgid)
		return;
	if (is_of_ended(connector, cn, exit))
		return;
	if (exit->has_record)
		group_end_stray(exit, &end);
	connector_begin(connector, &event, EVENT_EXIT, cn->nsec, cn->tgid);
	/* Without a fork message the start comes from the record, which does not count the time of tearing down. */
	if (exit->has_record && !exit->record.has_group)
		EVENT_SET(&event, start_usec, event.boot_usec - exit->record.elapsed_usec);
	set_elapsed(&event);
	publish_end(connector, &event, &end, cn->exit.parent_tgid);
}

void connector_publish_exit(struct connector *connector, const struct cn_event *cn)
{
	struct group_exit exit;
	struct group_end end;
	struct fb_event event;

	groups_exit(connector->groups, cn, &exit);
	if (!exit.group) {
		publish_stray(connector, cn, &exit);
		return;
	}
	publish_thread_exit(connector, cn, &exit);
	if (!exit.ended)
		return;
	connector_begin(connector, &event, EVENT_EXIT, cn->nsec, cn->tgid);
	group_end(connector->groups, exit.group, &end);
	set_elapsed(&event);
	publish_end(connector, &event, &end, cn->exit.parent_tgid);
	groups_remove(connector->groups, exit.group);
}

void connector_publish_gone(void *userdata, uint32_t pid, uint64_t nsec)
{
	struct connector *connector = userdata;
	struct group *group = groups_find(connector->groups, pid);
	struct group_end end = {};
	struct fb_event event;

	connector_begin(connector, &event, EVENT_EXIT, nsec, pid);
	/* No message reported the exit, but the records may have arrived. */
	if (group) {
		groups_settle(connector->groups, group, nsec);
		group_end(connector->groups, group, &end);
	}
	publish_end(connector, &event, &end, 0);
	if (group)
		groups_remove(connector->groups, group);
}
