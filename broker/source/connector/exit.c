// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "source/connector/connector.h"
#include "source/connector/verdict.h"
#include "source/subject.h"

#define SUSPECTS_MAX 16

/* The name in a record is the first bytes of the task's. */
#define RECORD_COMM_CUT 15

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
	const struct process *process;
	struct fb_event event;

	if (!(hub_armed(connector->hub) & HUB_ARMED_THREADS) || cn->tid == cn->tgid)
		return;
	process = connector_begin(connector, &event, EVENT_EXIT, cn->nsec, cn->tgid);
	EVENT_SET(&event, tid, cn->tid);
	fb_event_set_status(&event, cn->exit.code & 0xffff);
	if (exit->has_record) {
		set_usage(&event, &exit->record.usage, FIELDS_ALL);
		EVENT_SET(&event, elapsed_usec, exit->record.elapsed_usec);
		if (exit->record.flags & TASKSTATS_ASU)
			EVENT_SET(&event, privacy, PRIVACY_USAGE);
	}
	connector_describe(connector, process, &event, ~EVENT_BIT(exe));
	connector_publish(connector, &event);
}

/* The name that a thread of the kernel has in /proc can be longer than that in its record. */
static void take_name(struct fb_event *event, const struct process *process, const char *name)
{
	size_t len = strlen(name);

	EVENT_SET(event, comm, event_text(name));
	if (len < RECORD_COMM_CUT || !process || !connector_is_kernel_thread(process))
		return;
	EVENT_CLEAR(event, comm);
	if (process->has & EVENT_BIT(comm) && process->comm_len >= len &&
	    memcmp(process->comm, name, len) == 0)
		EVENT_SET(event, comm, ((struct event_text){ process->comm, process->comm_len }));
}

/* The record is newer than the table, which can be wrong about a process whose maker was not the parent. */
static void take_last_word(struct fb_event *event, const struct process *process, const struct group_end *end)
{
	if ((EVENT_HAS(event, uid) && event->uid != end->uid) ||
	    (EVENT_HAS(event, gid) && event->gid != end->gid))
		event->has &= ~(EVENT_BIT(euid) | EVENT_BIT(egid));
	EVENT_SET(event, uid, end->uid);
	EVENT_SET(event, gid, end->gid);
	take_name(event, process, end->comm);
}

/* The parent at the time of the exit comes from the message, the record, or an earlier event. */
static void set_parent(struct connector *connector, struct fb_event *event, const struct process *process,
		       uint32_t ppid)
{
	if (!ppid || (process && (process->has & EVENT_BIT(ppid)) && process->ppid == ppid))
		return;
	(void)subject_set_parent(connector->hub, event, ppid);
}

/* @process: connector_begin()'s */
static void publish_end(struct connector *connector, struct fb_event *event, const struct process *process,
			const struct group_end *end, uint32_t ppid)
{
	field_set fields = FIELDS_ALL;

	if (!group_is_certain(connector->groups, groups_find(connector->groups, event->pid),
			      event->boot_usec * NSEC_PER_USEC - connector->clocks.boot_offset_nsec))
		fields &= ~(PROCFS_IDS | FIELDS_IMAGE);
	if (end->has_status)
		fb_event_set_status(event, end->status);
	set_usage(event, &end->usage, end->has);
	/* A program with file capabilities has its user's ids, and /proc may have been read too late to show it. */
	if (end->privileged)
		EVENT_SET(event, privacy, PRIVACY_USAGE);
	set_parent(connector, event, process, ppid ? ppid : end->has_task ? end->ppid : 0);
	if (EVENT_HAS(event, ppid))
		fields &= ~EVENT_BIT(parent_start_usec);
	connector_describe(connector, process, event, fields);
	if (end->has_task)
		take_last_word(event, process, end);
	if (process)
		connector_ask_orphans(connector, process);
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
	/* A record without a message can be much older than the time at which it was read. */
	uint64_t born = connector_boot_usec(
		connector, cn->unheard && connector->taskstats ? exit->record.heard_nsec : cn->nsec);

	if (!exit->has_record)
		return false;
	born -= exit->record.elapsed_usec < born ? exit->record.elapsed_usec : born;
	return resync_ended_after(connector->resync, cn->tgid, born + EVENT_START_SLACK_USEC);
}

/*
 * Without a fork message the start time is computed from the record, whose elapsed time does not include the teardown of the
 * process. Return: @process if it has this start time or none, else NULL.
 */
static const struct process *set_stray_start(struct fb_event *event, const struct process *process,
					     const struct group_exit *exit)
{
	uint64_t start = event->boot_usec - exit->record.elapsed_usec;

	if (process && (process->has & EVENT_BIT(start_usec)) &&
	    event_same_start(process->id.start_usec, start))
		return process;
	EVENT_SET(event, start_usec, start);
	return process && (process->has & EVENT_BIT(start_usec)) ? NULL : process;
}

/*
 * A thread of an unknown process exited. The record of the process' last thread shows that the process has ended; without
 * records the leader's exit does. The exit is ignored if it belongs to a process whose end was already published: a scan may
 * count threads whose exit message is still to come.
 */
static void publish_stray(struct connector *connector, const struct cn_event *cn,
			  const struct group_exit *exit)
{
	struct group_end end = { .has_status = true, .status = cn->exit.code & 0xffff };
	const struct process *process;
	struct fb_event event;

	if (connector->taskstats ? !exit->has_record || !(exit->record.flags & TASKSTATS_AGROUP)
				 : cn->tid != cn->tgid)
		return;
	if (is_of_ended(connector, cn, exit))
		return;
	if (exit->has_record)
		group_end_stray(exit, &end);
	process = connector_begin(connector, &event, EVENT_EXIT, cn->nsec, cn->tgid);
	if (exit->has_record && !exit->record.has_group && !cn->late)
		process = set_stray_start(&event, process, exit);
	set_elapsed(&event);
	publish_end(connector, &event, process, &end, cn->exit.parent_tgid);
}

/* Did the next process with this pid end, too? Its record came before its end shows in /proc; all of this one's were used. */
static bool is_replaced(struct connector *connector, uint32_t tgid)
{
	connector_take_records(connector);
	return groups_have_record(connector->groups, tgid);
}

static void settle_doubt(struct connector *connector, const struct group *group, uint64_t start_usec,
			 struct group_end *end)
{
	uint32_t status;

	if (!end->in_doubt)
		return;
	if (verdict_ask(group->tgid, start_usec, &status) == 0 &&
	    (!end->heard || group_had_code(group, status)) && !is_replaced(connector, group->tgid)) {
		end->status = status;
		end->has_status = true;
	} else if (end->raced) {
		end->has_status = false;
	}
}

/*
 * After a loss, an exit of another process with its pid is not the end of the one that is known. That one is reported when
 * /proc no longer shows it.
 */
static bool ignore_uncertain(struct connector *connector, const struct cn_event *cn)
{
	struct group *group = groups_find(connector->groups, cn->tgid);

	if (!group || group_is_younger(group, cn->nsec))
		return false;
	if (group_is_certain(connector->groups, group, cn->nsec) &&
	    !(cn->late && groups_exit_is_doubtful(connector->groups, group, cn)))
		return false;
	groups_ignore_exit(connector->groups, group, cn);
	return true;
}

void connector_publish_exit(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process;
	struct group_exit exit;
	struct group_end end;
	struct fb_event event;

	if (ignore_uncertain(connector, cn))
		return;
	groups_exit(connector->groups, cn, &exit);
	if (!exit.group) {
		publish_stray(connector, cn, &exit);
		return;
	}
	publish_thread_exit(connector, cn, &exit);
	if (!exit.ended)
		return;
	process = connector_begin(connector, &event, EVENT_EXIT, cn->nsec, cn->tgid);
	group_end(connector->groups, exit.group, &end);
	settle_doubt(connector, exit.group, EVENT_HAS(&event, start_usec) ? event.start_usec : 0, &end);
	set_elapsed(&event);
	publish_end(connector, &event, process, &end, cn->exit.parent_tgid);
	groups_remove(connector->groups, exit.group);
}

/* Exits that were missed */

static void publish_missed(struct connector *connector, uint32_t pid, uint64_t nsec, struct group *group,
			   const struct group_end *end)
{
	struct fb_event event;
	const struct process *process = connector_begin_known(connector, &event, EVENT_EXIT, nsec, pid);

	publish_end(connector, &event, process, end, 0);
	if (group)
		groups_remove(connector->groups, group);
}

/* The exit message was lost, but the records may have arrived: those of another process with its pid, too. */
static void publish_gone(struct connector *connector, uint32_t pid, uint64_t nsec)
{
	struct group *group = groups_find(connector->groups, pid);
	struct group_end end = {};

	if (group && group_is_certain(connector->groups, group, nsec)) {
		groups_settle(connector->groups, group, nsec);
		group_end(connector->groups, group, &end);
	}
	publish_missed(connector, pid, nsec, group, &end);
}

void connector_end_replaced(struct connector *connector, const struct cn_event *fork)
{
	struct group *group = groups_replaced(connector->groups, fork);
	struct group_end end = {};

	if (!group)
		return;
	if (groups_settle_replaced(connector->groups, group, fork))
		group_end(connector->groups, group, &end);
	publish_missed(connector, fork->tgid, fork->nsec, group, &end);
}

/* Processes that seem to have ended */

void connector_check_suspects(struct connector *connector, uint64_t now)
{
	struct proc_question *question;
	struct group *group;

	for (unsigned int i = 0; i < SUSPECTS_MAX && (group = groups_suspect(connector->groups, now)); i++) {
		question = connector_ask(connector, group->tgid, 0, CONNECTOR_ALIVE);
		if (question)
			question->start_usec = group->ending_nsec;
	}
}

/* Does /proc show another process with its pid? */
static bool is_another(const struct connector *connector, const struct proc_question *question)
{
	const struct process *process = table_find(hub_table(connector->hub), question->pid);

	return question->found && process && process->has & EVENT_BIT(start_usec) &&
	       !procfs_start_matches(question->event.start_usec, process->id.start_usec);
}

void connector_answer_alive(struct connector *connector, const struct proc_question *question)
{
	const struct group *group = groups_find(connector->groups, question->pid);

	if (!group || !group->ending_nsec || question->start_usec != group->ending_nsec)
		return;
	if (question->gone || is_another(connector, question))
		publish_gone(connector, question->pid, question->read_nsec);
}

/* The scan */

static void on_gone(void *userdata, uint32_t pid, uint64_t nsec)
{
	publish_gone(userdata, pid, nsec);
}

static bool awaits_end(void *userdata, uint32_t pid)
{
	const struct connector *connector = userdata;

	return groups_find(connector->groups, pid);
}

static uint64_t published_until(void *userdata, uint64_t *lost_usec)
{
	const struct connector *connector = userdata;

	uint64_t published = connector->published_nsec, idle = connector->idle_nsec;

	*lost_usec = connector_boot_usec(connector, connector->noted_nsec);
	return connector_boot_usec(connector, published > idle ? published : idle);
}

/* Mark groups as missing until the scan finds them, except groups that had messages since the scan began. */
static void begin_scan(void *userdata, const struct proc_snapshot *snapshot)
{
	struct connector *connector = userdata;
	struct group *group;

	connector->scanned_nsec = snapshot->end_nsec;
	groups_count_begin(connector->groups, snapshot->begin_nsec, snapshot->end_nsec);
	for (group = groups_first(connector->groups); group; group = group_next(group)) {
		group->old_count = true;
		group->missing = snapshot->skipped == 0 && group->changed_nsec < snapshot->begin_nsec;
	}
}

static void take_threads(void *userdata, const struct proc_snapshot *snapshot, const struct proc_entry *entry)
{
	struct connector *connector = userdata;
	struct group *group = groups_find(connector->groups, entry->event.pid);
	uint64_t born = clocks_monotonic_nsec(&connector->clocks, entry->event.start_usec * NSEC_PER_USEC);
	uint64_t tick_end = born + EVENT_START_SLACK_USEC * NSEC_PER_USEC;
	bool known = !group || group_was_seen(connector->groups, group, tick_end, snapshot->begin_nsec);
	bool counted = group && (group->changed_nsec >= snapshot->begin_nsec ||
				 groups_heard_all(connector->groups, group));

	if (!counted)
		group = groups_adopt(connector->groups, entry->event.pid, 0, born);
	if (group && known)
		group_is_known(group, snapshot->begin_nsec);
	if (counted)
		return;
	for (size_t i = 0; i < entry->n_tids; i++)
		(void)groups_count_thread(connector->groups, entry->event.pid, entry->tids[i]);
}

/* The table reports missing processes, but only those that it has: publish the end of the others. */
static void end_scan(void *userdata, uint64_t nsec)
{
	struct connector *connector = userdata;
	struct group *group, *next;

	groups_count_end(connector->groups);
	for (group = groups_first(connector->groups); group; group = next) {
		next = group_next(group);
		if (group->missing && !table_find(hub_table(connector->hub), group->tgid))
			publish_gone(connector, group->tgid, nsec);
	}
}

const struct resync_ops connector_resync_ops = {
	.gone = on_gone,
	.awaits_end = awaits_end,
	.published = published_until,
	.begin = begin_scan,
	.living = take_threads,
	.settled = end_scan,
};
