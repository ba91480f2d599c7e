// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "source/connector/connector.h"
#include "source/subject.h"

#include "base/clock.h"

/* Fields of the running program. Only an exec reports them. */
#define FIELDS_IMAGE	(EVENT_BIT(comm) | EVENT_BIT(exe))
#define FIELDS_IDENTITY (EVENT_BIT(pid) | EVENT_BIT(start_usec))
#define FIELDS_PLACE	(EVENT_BIT(cgroup) | EVENT_BIT(unit))
/* Fields that a child inherits from its parent. */
#define FIELDS_INHERITED                                                                          \
	(PROCFS_IDS | FIELDS_PLACE | EVENT_BIT(login_uid) | EVENT_BIT(session) | EVENT_BIT(tty) | \
	 EVENT_BIT(comm))

/* How many messages of the queue are searched for the exit of a process. */
#define LOOK_AHEAD 1024

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

void connector_publish(struct connector *connector, struct fb_event *event)
{
	if (event->type == EVENT_EXIT)
		resync_note_exit(connector->resync, event);
	hub_publish(connector->hub, event);
}

struct proc_question *connector_ask(struct connector *connector, uint32_t pid, field_set fields,
				    enum connector_purpose purpose)
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

/* Answers */

/* Is the answer about this process, and about the program that it ran when the question was asked? */
static bool answer_fits(const struct proc_question *question, uint64_t start_usec)
{
	return question->found && procfs_start_matches(question->event.start_usec, start_usec) &&
	       (!question->exec_nsec || question->read_nsec < question->exec_nsec);
}

/* Drop the name if it changed before the answer was read: the event must have the old one. */
static void answer_trim(struct proc_question *question)
{
	if (question->comm_nsec && question->read_nsec >= question->comm_nsec)
		EVENT_CLEAR(&question->event, comm);
}

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

/* The event was published without the answer, which still updates the table. */
void connector_answer_late(struct connector *connector, struct proc_question *question)
{
	const struct process *process = table_find(hub_table(connector->hub), question->pid);
	struct fb_event *event = &question->event;

	connector->stats.proc_late++;
	answer_trim(question);
	if (!process || !answer_fits(question, process->id.start_usec))
		return;
	EVENT_SET(event, start_usec, process->id.start_usec);
	EVENT_CLEAR(event, ppid);
	/* Later events may have changed the name or the ids: keep these. They may also have made the program a privileged one. */
	event->has &= ~(process->has & (PROCFS_IDS | EVENT_BIT(comm)));
	if (EVENT_HAS(event, privacy) && event->privacy == PRIVACY_NONE)
		EVENT_CLEAR(event, privacy);
	(void)hub_learn(connector->hub, event);
}

/* The messages */

static bool is_leader(const struct cn_event *cn)
{
	return cn->tid == cn->tgid;
}

static bool threads_wanted(const struct connector *connector, const struct cn_event *cn)
{
	return hub_armed(connector->hub) & HUB_ARMED_THREADS && cn->tgid != connector->self;
}

static void publish_thread_fork(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process;
	struct fb_event event;

	groups_fork(connector->groups, cn);
	if (!threads_wanted(connector, cn))
		return;
	process = connector_begin(connector, &event, EVENT_FORK, cn->nsec, cn->tgid);
	EVENT_SET(&event, tid, cn->tid);
	subject_describe(process, &event, ~FIELDS_IMAGE | EVENT_BIT(comm));
	connector_publish(connector, &event);
}

static const struct fb_event *message_answer(const struct connector_message *message, uint64_t start_usec)
{
	struct proc_question *question = message->question;

	if (!question || !question->answered || !answer_fits(question, start_usec))
		return NULL;
	answer_trim(question);
	return &question->event;
}

static void publish_fork(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process = table_find(hub_table(connector->hub), cn->tgid), *parent;
	uint64_t start = connector_boot_usec(connector, cn->nsec);
	struct fb_event event;

	groups_fork(connector->groups, cn);
	begin_event(connector, &event, EVENT_FORK, cn->nsec, cn->tgid);
	/* A scan may have found the process before this message was published. */
	if (process && event_same_start(process->id.start_usec, start))
		start = process->id.start_usec;
	EVENT_SET(&event, start_usec, start);
	parent = subject_set_parent(connector->hub, &event, cn->fork.parent_tgid);
	if (parent)
		process_describe(parent, &event, FIELDS_INHERITED);
	connector_publish(connector, &event);
	subject_inherit_exe(connector->hub, parent, &event);
}

/*
 * The record of a process that has ended, although its exec is not yet published. The record has the name that the process
 * had since the exec, unless a message in between changed the name.
 */
static const struct taskstats_record *record_of_end(struct connector *connector, const struct cn_event *exec)
{
	const struct connector_message *message;

	for (uint64_t n = 1; n < LOOK_AHEAD && (message = connector_queue_peek(&connector->queue, n)); n++) {
		if (message->cn.tid != exec->tgid || message->cn.tgid != exec->tgid)
			continue;
		if (message->cn.what == PROC_EVENT_EXIT)
			return groups_peek(connector->groups, &message->cn);
		if (message->cn.what == PROC_EVENT_EXEC || message->cn.what == PROC_EVENT_COMM)
			return NULL;
	}
	return NULL;
}

static void publish_exec(struct connector *connector, const struct connector_message *message)
{
	const struct cn_event *cn = &message->cn;
	field_set described = ~FIELDS_IMAGE;
	const struct taskstats_record *record;
	const struct process *process;
	const struct fb_event *answer;
	struct fb_event event;
	bool known;

	if (!groups_find(connector->groups, cn->tgid))
		groups_adopt(connector->groups, cn->tgid, 1, 0);
	groups_exec(connector->groups, cn);

	process = connector_begin(connector, &event, EVENT_EXEC, cn->nsec, cn->tgid);
	known = EVENT_HAS(&event, start_usec);
	answer = message_answer(message, known		     ? event.start_usec
					 : message->question ? message->question->event.start_usec
							     : 0);
	if (answer) {
		described &= ~(FIELDS_PLACE | EVENT_BIT(tty));
		drop_tty(connector, process);
		if (known)
			take_answer(&event, answer);
		else
			take_answer_of_unknown(connector, &event, answer);
		if (!EVENT_HAS(answer, cgroup))
			described |= FIELDS_PLACE;
	}
	if (!EVENT_HAS(&event, comm)) {
		record = record_of_end(connector, cn);
		if (record)
			EVENT_SET(&event, comm, event_text(record->comm));
	}
	subject_describe(process, &event, described);
	connector_publish(connector, &event);
}

static void publish_comm(struct connector *connector, const struct cn_event *cn)
{
	struct event_text comm = { cn->comm, strnlen(cn->comm, sizeof(cn->comm)) };
	const struct process *process;
	struct fb_event event;

	/* Each thread has a name of its own; the name of a process is its leader's. */
	if (!is_leader(cn))
		return;
	process = connector_begin(connector, &event, EVENT_COMM, cn->nsec, cn->tgid);
	if (process && (process->has & EVENT_BIT(comm)) &&
	    event_text_equal(comm, (struct event_text){ process->comm, process->comm_len }))
		return;
	EVENT_SET(&event, comm, comm);
	subject_describe(process, &event, ~FIELDS_IMAGE);
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

static void publish_id(struct connector *connector, const struct cn_event *cn)
{
	bool user = cn->what == PROC_EVENT_UID;
	const struct process *process;
	struct fb_event event, old;

	/* Raw system calls can give each thread its own ids; the ids of a process are its leader's. */
	if (!is_leader(cn))
		return;
	process = connector_begin(connector, &event, EVENT_ID, cn->nsec, cn->tgid);
	fb_event_init(&old, EVENT_NONE);
	if (process)
		process_describe(process, &old, PROCFS_IDS);
	if (user && EVENT_HAS(&old, uid) && EVENT_HAS(&old, euid) && old.uid == cn->id.real &&
	    old.euid == cn->id.effective)
		return;
	if (!user && EVENT_HAS(&old, gid) && EVENT_HAS(&old, egid) && old.gid == cn->id.real &&
	    old.egid == cn->id.effective)
		return;

	if (user) {
		EVENT_SET(&event, uid, cn->id.real);
		EVENT_SET(&event, euid, cn->id.effective);
	} else {
		EVENT_SET(&event, gid, cn->id.real);
		EVENT_SET(&event, egid, cn->id.effective);
	}
	set_old_ids(&event, &old);
	subject_describe(process, &event, ~EVENT_BIT(exe));
	connector_publish(connector, &event);
}

/* setsid(2): the caller leads the new session, which has no terminal yet. */
static void publish_session(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process;
	struct fb_event event;

	process = connector_begin(connector, &event, EVENT_SESSION, cn->nsec, cn->tgid);
	EVENT_SET(&event, session, cn->tgid);
	subject_describe(process, &event, ~(EVENT_BIT(exe) | EVENT_BIT(tty)));
	connector_publish(connector, &event);
}

static void publish_coredump(struct connector *connector, const struct cn_event *cn)
{
	const struct process *process;
	struct fb_event event;

	if (!(hub_armed(connector->hub) & EVENT_TYPE_BIT(EVENT_COREDUMP)))
		return;
	process = connector_begin(connector, &event, EVENT_COREDUMP, cn->nsec, cn->tgid);
	subject_describe(process, &event, ~EVENT_BIT(exe));
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
	subject_describe(process, &event, ~EVENT_BIT(exe));
	connector_publish(connector, &event);
}

void connector_publish_message(struct connector *connector, const struct connector_message *message)
{
	const struct cn_event *cn = &message->cn;

	switch (cn->what) {
	case PROC_EVENT_FORK:
		if (is_leader(cn))
			publish_fork(connector, cn);
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
