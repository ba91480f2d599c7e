// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "source/connector/connector.h"
#include "source/connector/tty.h"
#include "source/subject.h"

#include "base/clock.h"

#define FIELDS_IDENTITY (EVENT_BIT(pid) | EVENT_BIT(start_usec))

static void begin_event(const struct connector *connector, struct fb_event *event, enum event_type type,
			uint64_t nsec, uint32_t pid)
{
	fb_event_init(event, type);
	EVENT_SET(event, boot_usec, connector_boot_usec(connector, nsec));
	EVENT_SET(event, time_usec, connector_time_usec(connector, nsec));
	EVENT_SET(event, pid, pid);
}

const struct process *connector_begin(const struct connector *connector, struct fb_event *event,
				      enum event_type type, uint64_t nsec, uint32_t pid)
{
	if (group_is_certain(connector->groups, groups_find(connector->groups, pid), nsec))
		return connector_begin_known(connector, event, type, nsec, pid);
	begin_event(connector, event, type, nsec, pid);
	return NULL;
}

const struct process *connector_begin_known(const struct connector *connector, struct fb_event *event,
					    enum event_type type, uint64_t nsec, uint32_t pid)
{
	const struct process *process = table_find(hub_table(connector->hub), pid);
	const struct group *group = process ? NULL : groups_find(connector->groups, pid);

	begin_event(connector, event, type, nsec, pid);
	/* The start time that was published first identifies the process from then on. */
	if (process)
		process_describe(process, event, EVENT_BIT(start_usec));
	else if (group && group->fork_nsec)
		EVENT_SET(event, start_usec, connector_boot_usec(connector, group->fork_nsec));
	return process;
}

/* Of one of two processes: the one in the table, or another one with its pid. */
static bool is_uncertain(const struct connector *connector, const struct fb_event *event)
{
	const struct process *process;

	if (EVENT_HAS(event, start_usec))
		return false;
	process = table_find(hub_table(connector->hub), event->pid);
	return process && process->has & EVENT_BIT(start_usec);
}

void connector_publish(struct connector *connector, struct fb_event *event)
{
	if (event->type == EVENT_EXIT)
		resync_note_exit(connector->resync, event);
	if (is_uncertain(connector, event))
		hub_publish_uncertain(connector->hub, event);
	else
		hub_publish(connector->hub, event);
}

void connector_describe(const struct connector *connector, const struct process *process,
			struct fb_event *event, field_set fields)
{
	if (!process)
		return;
	fields &= ~FIELDS_PLACE;
	if (fields & process->has & ~event->has & EVENT_BIT(tty) &&
	    !tty_is_held(hub_table(connector->hub), &connector->clocks, process))
		fields &= ~EVENT_BIT(tty);
	if (connector_is_kernel_thread(process))
		fields &= ~EVENT_BIT(comm);
	subject_describe(process, event, fields);
}

/* Answers */

/* The answer to an exec's question is not older than the exec. Ids are not copied: other messages report them. */
static void take_answer(struct fb_event *event, const struct fb_event *answer)
{
	fb_event_copy_fields(event, answer, ~(FIELDS_IDENTITY | PROCFS_IDS | EVENT_BIT(ppid)));
}

static void take_answer_of_unknown(struct connector *connector, struct fb_event *event,
				   const struct fb_event *answer)
{
	fb_event_copy_fields(event, answer, PROCFS_IDS);
	if (!EVENT_HAS(event, ppid))
		(void)subject_set_parent(connector->hub, event, answer->ppid);
	if (!EVENT_HAS(event, start_usec))
		EVENT_SET(event, start_usec, answer->start_usec);
	take_answer(event, answer);
}

/* An event without a terminal does not change the table, so the terminal is removed here. */
static void drop_tty(struct connector *connector, const struct process *process)
{
	if (process)
		hub_forget(connector->hub, process, EVENT_BIT(tty));
}

static const struct fb_event *message_answer(struct connector *connector,
					     const struct connector_message *message, uint64_t start_usec)
{
	struct proc_question *question = message->question;

	if (!question || !question->answered)
		return NULL;
	/* An unknown process is the one that /proc shows, unless that can have begun later. */
	if (!start_usec) {
		start_usec = question->event.start_usec;
		if (start_usec + EVENT_START_SLACK_USEC > connector_boot_usec(connector, message->cn.nsec))
			return NULL;
	}
	if (!connector_answer_fits(connector, question, start_usec, &message->cn))
		return NULL;
	return &question->event;
}

/* The messages */

static bool is_leader(const struct cn_event *cn)
{
	return cn->tid == cn->tgid;
}

static void publish_thread_fork(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process;
	struct fb_event event;

	if (group_is_certain(connector->groups, groups_find(connector->groups, cn->tgid), cn->nsec))
		groups_fork(connector->groups, cn);
	if (!(hub_armed(connector->hub) & HUB_ARMED_THREADS))
		return;
	process = connector_begin(connector, &event, EVENT_FORK, cn->nsec, cn->tgid);
	EVENT_SET(&event, tid, cn->tid);
	connector_describe(connector, process, &event, ~FIELDS_IMAGE | EVENT_BIT(comm));
	connector_publish(connector, &event);
}

/*
 * The fields in which the maker may differ from the parent that the message names. /proc has the child's own, if it was read in
 * time. If the process has ended meanwhile, its record has the ids.
 */
static void take_doubtful(struct connector *connector, const struct connector_message *message,
			  const struct fb_event *answer, field_set doubtful, struct fb_event *event)
{
	struct connector_end end;

	if (answer) {
		/* In another session it has left its maker's: its own message reports that. */
		if (EVENT_HAS(answer, session) && answer->session == event->pid)
			doubtful &= ~(EVENT_BIT(session) | EVENT_BIT(tty));
		if (event->ppid == HERITAGE_KTHREADD)
			doubtful &= ~EVENT_BIT(comm);
		fb_event_copy_fields(event, answer, (doubtful & ~EVENT_BIT(exe)) | FIELDS_PLACE);
	}
	if (!(doubtful & PROCFS_IDS) || EVENT_HAS(event, uid) ||
	    !connector_find_end(connector, &message->cn, &end) || !end.record || end.changed & PROCFS_IDS)
		return;
	EVENT_SET(event, uid, end.record->uid);
	EVENT_SET(event, gid, end.record->gid);
}

/* A fork does not have the program, but the table does: a child runs its maker's. */
static void learn_exe(struct connector *connector, const struct fb_event *fork, const struct fb_event *answer)
{
	struct fb_event event;

	if (!answer || !EVENT_HAS(answer, exe))
		return;
	fb_event_init(&event, EVENT_PROCESS);
	fb_event_copy_fields(&event, fork, FIELDS_IDENTITY);
	fb_event_copy_fields(&event, answer, EVENT_BIT(exe));
	(void)hub_learn(connector->hub, &event);
}

static void publish_fork(struct connector *connector, const struct connector_message *message)
{
	const struct cn_event *cn = &message->cn;
	const struct process *process = table_find(hub_table(connector->hub), cn->tgid), *parent;
	const struct group *group = groups_find(connector->groups, cn->tgid);
	uint64_t start = connector_boot_usec(connector, cn->nsec);
	const struct fb_event *answer;
	struct fb_event event;
	field_set certain;

	/* Its pid is another process' meanwhile, as /proc shows: its end would not come. */
	if (group && group_is_younger(group, cn->nsec))
		return;
	groups_fork(connector->groups, cn);
	begin_event(connector, &event, EVENT_FORK, cn->nsec, cn->tgid);
	/* A scan may have found the process before this message was published. */
	if (process && event_same_start(process->id.start_usec, start))
		start = process->id.start_usec;
	EVENT_SET(&event, start_usec, start);
	parent = subject_set_parent(connector->hub, &event, cn->fork.parent_tgid);
	certain = connector_certain(connector, parent);
	answer = message_answer(connector, message, start);
	connector_describe(connector, parent, &event, certain & ~(EVENT_BIT(exe) | EVENT_BIT(privacy)));
	take_doubtful(connector, message, answer, HERITAGE & ~certain, &event);
	if (!(certain & EVENT_BIT(privacy)) && !EVENT_HAS(&event, privacy))
		EVENT_SET(&event, privacy, PRIVACY_ALL);
	connector_publish(connector, &event);
	if (certain & EVENT_BIT(exe))
		subject_inherit_exe(connector->hub, parent, &event);
	else
		learn_exe(connector, &event, answer);
	connector_ask_later(connector, (struct process_id){ event.pid, start }, cn->nsec, CONNECTOR_DESCRIBE);
}

static void adopt(struct connector *connector, const struct cn_event *cn)
{
	struct group *group = groups_adopt(connector->groups, cn->tgid, 1, 0);

	if (group)
		group_is_known(group, cn->nsec);
}

static void publish_exec(struct connector *connector, const struct connector_message *message)
{
	const struct cn_event *cn = &message->cn;
	const struct group *group = groups_find(connector->groups, cn->tgid);
	bool certain = group_is_certain(connector->groups, group, cn->nsec);
	field_set described = ~FIELDS_IMAGE;
	const struct process *process;
	struct connector_end end;
	const struct fb_event *answer;
	struct fb_event event;
	bool known;

	if (!group)
		adopt(connector, cn);
	if (certain)
		groups_exec(connector->groups, cn);

	process = connector_begin(connector, &event, EVENT_EXEC, cn->nsec, cn->tgid);
	known = EVENT_HAS(&event, start_usec);
	answer = certain ? message_answer(connector, message, known ? event.start_usec : 0) : NULL;
	if (answer) {
		described &= ~EVENT_BIT(tty);
		drop_tty(connector, process);
		if (known)
			take_answer(&event, answer);
		else
			take_answer_of_unknown(connector, &event, answer);
	}
	/* The record of a process that has ended has the name that it had since the exec. */
	if (!EVENT_HAS(&event, comm) && connector_find_end(connector, cn, &end) && end.record &&
	    !(end.changed & EVENT_BIT(comm)))
		EVENT_SET(&event, comm, event_text(end.record->comm));
	connector_describe(connector, process, &event, described);
	connector_publish(connector, &event);
	if ((!answer || !EVENT_HAS(answer, exe)) && EVENT_HAS(&event, start_usec))
		connector_ask_later(connector, (struct process_id){ event.pid, event.start_usec }, cn->nsec,
				    CONNECTOR_DESCRIBE);
}

/* A message of something that was so before says nothing new, unless the table had it from a scan that came later. */
static bool is_old_news(const struct connector *connector, const struct cn_event *cn, bool equal)
{
	return equal && cn->nsec > connector->scanned_nsec;
}

static void publish_comm(struct connector *connector, const struct cn_event *cn)
{
	struct event_text comm = { cn->comm, strnlen(cn->comm, sizeof(cn->comm)) };
	const struct process *process;
	struct fb_event event;

	if (group_is_certain(connector->groups, groups_find(connector->groups, cn->tgid), cn->nsec))
		groups_renamed(connector->groups, cn);
	/* Each thread has a name of its own; the name of a process is its leader's. */
	if (!is_leader(cn))
		return;
	process = connector_begin(connector, &event, EVENT_COMM, cn->nsec, cn->tgid);
	if (process && (process->has & EVENT_BIT(comm)) &&
	    is_old_news(connector, cn,
			event_text_equal(comm, (struct event_text){ process->comm, process->comm_len })))
		return;
	EVENT_SET(&event, comm, comm);
	connector_describe(connector, process, &event, ~FIELDS_IMAGE);
	connector_publish(connector, &event);
}

static void set_old_ids(struct fb_event *event, const struct fb_event *old)
{
	if (EVENT_HAS(old, uid))
		EVENT_SET(event, old_uid, old->uid);
	if (EVENT_HAS(old, gid))
		EVENT_SET(event, old_gid, old->gid);
	if (EVENT_HAS(old, euid))
		EVENT_SET(event, old_euid, old->euid);
	if (EVENT_HAS(old, egid))
		EVENT_SET(event, old_egid, old->egid);
}

/* glibc gives all threads the same ids, one after the other; until an exec it is not known whether they all have them. */
static void note_own_ids(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process = table_find(hub_table(connector->hub), cn->tgid);
	bool user = cn->what == PROC_EVENT_UID;

	if (process && cn->id.real == (user ? process->uid : process->gid) &&
	    cn->id.effective == (user ? process->euid : process->egid))
		return;
	groups_own_ids(connector->groups, cn);
}

static void publish_id(struct connector *connector, const struct cn_event *cn)
{
	bool user = cn->what == PROC_EVENT_UID, equal;
	const struct process *process;
	struct fb_event event, old;

	/* Raw system calls can give each thread its own ids; the ids of a process are its leader's. */
	if (!is_leader(cn)) {
		note_own_ids(connector, cn);
		return;
	}
	process = connector_begin(connector, &event, EVENT_ID, cn->nsec, cn->tgid);
	fb_event_init(&old, EVENT_NONE);
	if (process)
		process_describe(process, &old, PROCFS_IDS);
	equal = user ? EVENT_HAS(&old, uid) && EVENT_HAS(&old, euid) && old.uid == cn->id.real &&
				old.euid == cn->id.effective
		     : EVENT_HAS(&old, gid) && EVENT_HAS(&old, egid) && old.gid == cn->id.real &&
				old.egid == cn->id.effective;
	if (is_old_news(connector, cn, equal))
		return;
	if (equal)
		fb_event_init(&old, EVENT_NONE);

	if (user) {
		EVENT_SET(&event, uid, cn->id.real);
		EVENT_SET(&event, euid, cn->id.effective);
	} else {
		EVENT_SET(&event, gid, cn->id.real);
		EVENT_SET(&event, egid, cn->id.effective);
	}
	set_old_ids(&event, &old);
	connector_describe(connector, process, &event, ~EVENT_BIT(exe));
	connector_publish(connector, &event);
}

/* setsid(2): the caller leads the new session, which has no terminal yet. */
static void publish_session(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process;
	struct fb_event event;

	process = connector_begin(connector, &event, EVENT_SESSION, cn->nsec, cn->tgid);
	EVENT_SET(&event, session, cn->tgid);
	connector_describe(connector, process, &event, ~(EVENT_BIT(exe) | EVENT_BIT(tty)));
	connector_publish(connector, &event);
}

static void publish_coredump(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process;
	struct fb_event event;

	if (!(hub_armed(connector->hub) & EVENT_TYPE_BIT(EVENT_COREDUMP)))
		return;
	process = connector_begin(connector, &event, EVENT_COREDUMP, cn->nsec, cn->tgid);
	connector_describe(connector, process, &event, ~EVENT_BIT(exe));
	connector_publish(connector, &event);
}

static void publish_ptrace(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process;
	struct fb_event event;

	if (!(hub_armed(connector->hub) & EVENT_TYPE_BIT(EVENT_PTRACE)))
		return;
	process = connector_begin(connector, &event, EVENT_PTRACE, cn->nsec, cn->tgid);
	if (!is_leader(cn))
		EVENT_SET(&event, tid, cn->tid);
	EVENT_SET(&event, tracer_pid, cn->ptrace.tracer_tgid);
	connector_describe(connector, process, &event, ~EVENT_BIT(exe));
	connector_publish(connector, &event);
}

void connector_publish_message(struct connector *connector, const struct connector_message *message)
{
	const struct cn_event *cn = &message->cn;

	switch (cn->what) {
	case PROC_EVENT_FORK:
		if (is_leader(cn))
			publish_fork(connector, message);
		else
			publish_thread_fork(connector, cn);
		break;
	case PROC_EVENT_EXEC:
		publish_exec(connector, message);
		break;
	case PROC_EVENT_UID:
	case PROC_EVENT_GID:
		publish_id(connector, cn);
		break;
	case PROC_EVENT_SID:
		publish_session(connector, cn);
		break;
	case PROC_EVENT_PTRACE:
		publish_ptrace(connector, cn);
		break;
	case PROC_EVENT_COMM:
		publish_comm(connector, cn);
		break;
	case PROC_EVENT_COREDUMP:
		publish_coredump(connector, cn);
		break;
	default:
		break;
	}
}
