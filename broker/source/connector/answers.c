// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/connector.h"
#include "source/subject.h"

/* How many messages of the queue are searched for the end of a process. */
#define LOOK_AHEAD 1024

/* Room for the questions of execs, which cannot wait. */
#define ROOM_FOR_EXECS 64

/* Forks are compared with at most so many orphans. */
#define ORPHANS_COMPARED 32

/* A process that has not run another program by then is asked about, for the fields that a fork does not have. */
#define SETTLED_NSEC (100 * NSEC_PER_MSEC)

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

bool connector_find_end(struct connector *connector, const struct cn_event *since, struct connector_end *end)
{
	const struct connector_message *message;
	const struct cn_event *cn;

	*end = (struct connector_end){};
	for (uint64_t n = 1; n < LOOK_AHEAD && (message = connector_queue_peek(&connector->queue, n)); n++) {
		cn = &message->cn;
		/* From here on another process may have its pid. */
		if (message->overrun_nsec || message->gap)
			return false;
		if (cn->tid != since->tgid || cn->tgid != since->tgid)
			continue;
		switch (cn->what) {
		case PROC_EVENT_FORK:
			return false;
		case PROC_EVENT_EXIT:
			end->record = groups_peek(connector->groups, since, cn);
			return true;
		case PROC_EVENT_EXEC:
			end->changed |= FIELDS_IMAGE;
			break;
		case PROC_EVENT_COMM:
			end->changed |= EVENT_BIT(comm);
			break;
		case PROC_EVENT_UID:
		case PROC_EVENT_GID:
			end->changed |= PROCFS_IDS;
			break;
		default:
			break;
		}
	}
	return false;
}

/*
 * Is the answer from before this change? Where no message waits for it, the change may be published already: then it is too late
 * for what was before.
 */
static bool answer_precedes(const struct proc_question *question, enum proc_change change,
			    const struct cn_event *cn)
{
	return cn ? proc_question_precedes(question, change) : !question->changed_nsec[change];
}

/*
 * /proc shows a program before its exec is reported. So an answer is about the last program that was reported if that had begun
 * to run, or if the process ended without another one.
 */
static bool answer_is_of_program(struct connector *connector, const struct proc_question *question,
				 const struct cn_event *cn)
{
	struct connector_end end;

	if (!answer_precedes(question, PROC_CHANGE_PROGRAM, cn))
		return false;
	if (question->stat.settled)
		return true;
	return cn && connector_find_end(connector, cn, &end) && !(end.changed & EVENT_BIT(exe));
}

/* Is the answer about the process with this start? Others that had its pid may have the same start in /proc. */
static bool answer_is_of(const struct connector *connector, const struct proc_question *question,
			 uint64_t start_usec)
{
	uint64_t began = start_usec;

	if (!proc_question_precedes(question, PROC_CHANGE_OWNER))
		began = connector_boot_usec(connector, question->changed_nsec[PROC_CHANGE_OWNER]);
	return question->found && procfs_start_matches(question->event.start_usec, start_usec) &&
	       start_usec >= began && connector_boot_usec(connector, question->read_nsec) >= start_usec;
}

bool connector_answer_fits(struct connector *connector, struct proc_question *question, uint64_t start_usec,
			   const struct cn_event *cn)
{
	struct fb_event *event = &question->event;

	if (!answer_is_of(connector, question, start_usec))
		return false;
	if (!answer_is_of_program(connector, question, cn))
		event->has &= ~(FIELDS_IMAGE | EVENT_BIT(privacy));
	/* These changed before the answer was read: the event must have the old ones. */
	if (!answer_precedes(question, PROC_CHANGE_NAME, cn))
		EVENT_CLEAR(event, comm);
	if (!answer_precedes(question, PROC_CHANGE_IDS, cn))
		event->has &= ~(PROCFS_IDS | EVENT_BIT(privacy));
	if (!answer_precedes(question, PROC_CHANGE_SESSION, cn))
		event->has &= ~(EVENT_BIT(session) | EVENT_BIT(tty) | EVENT_BIT(pgid));
	return true;
}

void connector_answer_late(struct connector *connector, struct proc_question *question)
{
	const struct process *process = table_find(hub_table(connector->hub), question->pid);
	struct fb_event *event = &question->event;

	connector->stats.proc_late++;
	if (!process || !connector_answer_fits(connector, question, process->id.start_usec, NULL))
		return;
	if (answer_precedes(question, PROC_CHANGE_SESSION, NULL) && !EVENT_HAS(event, tty))
		hub_forget(connector->hub, process, EVENT_BIT(tty));
	EVENT_SET(event, start_usec, process->id.start_usec);
	EVENT_CLEAR(event, ppid);
	/*
	 * Later events may have changed the name or the ids: keep these. They may also have made the program a privileged one.
	 * Threads of the kernel change their names without an event.
	 */
	if (EVENT_HAS(event, privacy) && event->privacy == PRIVACY_NONE)
		EVENT_CLEAR(event, privacy);
	event->has &= ~(process->has & PROCFS_IDS);
	if (!connector_is_kernel_thread(process))
		event->has &= ~(process->has & EVENT_BIT(comm));
	(void)hub_learn(connector->hub, event);
}

void connector_answer_parent(struct connector *connector, const struct proc_question *question)
{
	const struct process *process = table_find(hub_table(connector->hub), question->pid);
	struct fb_event event;

	connector->adopted++;
	if (!process || !answer_is_of(connector, question, process->id.start_usec))
		return;
	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, pid, process->id.pid);
	EVENT_SET(&event, start_usec, process->id.start_usec);
	(void)subject_set_parent(connector->hub, &event, question->event.ppid);
	(void)hub_learn(connector->hub, &event);
}

/* Later questions */

void connector_ask_later(struct connector *connector, struct process_id id, uint64_t now,
			 enum connector_purpose purpose)
{
	struct connector_later *later =
		purpose == CONNECTOR_PARENT ? &connector->orphans : &connector->newborn;
	struct group *group = purpose == CONNECTOR_PARENT ? NULL : groups_find(connector->groups, id.pid);

	/* A process that runs one program after the other is asked about once in that time. */
	if (group && group->asked_later)
		return;
	/* When there is no room, many processes begin and end, and this one probably has ended before it would be asked. */
	if (later->n == LATER_MAX)
		return;
	later->entries[(later->first + later->n++) % LATER_MAX] =
		(struct connector_later_entry){ id, purpose == CONNECTOR_PARENT ? 0 : now + SETTLED_NSEC };
	if (group)
		group->asked_later = true;
}

/*
 * The living children of a process that ends get another parent: one of its ancestors. Until /proc says which, any of them may
 * have children that the table does not know as its own. The ring keeps those that are asked about.
 */
void connector_ask_orphans(struct connector *connector, const struct process *process)
{
	const struct connector_later *orphans = &connector->orphans;
	const struct process *ancestor = process->parent;
	struct group *group;

	if (!process->children)
		return;
	for (const struct process *child = process->children; child; child = child->sibling)
		connector_ask_later(connector, child->id, 0, CONNECTOR_PARENT);
	for (; ancestor; ancestor = ancestor->parent) {
		group = groups_find(connector->groups, ancestor->id.pid);
		if (group)
			group->adopted = orphans->taken + orphans->n;
	}
}

field_set connector_certain(const struct connector *connector, const struct process *parent)
{
	const struct connector_later *orphans = &connector->orphans;
	uint64_t end = orphans->taken + orphans->n;
	const struct process *orphan;
	const struct group *group;
	field_set certain;

	if (!parent)
		return 0;
	certain = heritage_certain(connector->groups, parent);
	group = groups_find(connector->groups, parent->id.pid);
	if (group && group->adopted > connector->adopted && end - connector->adopted > ORPHANS_COMPARED)
		return 0;
	for (uint64_t n = connector->adopted; certain && group && n < group->adopted; n++) {
		orphan = table_find(hub_table(connector->hub), orphans->entries[n % LATER_MAX].id.pid);
		if (orphan)
			certain &= heritage_alike(connector->groups, parent, orphan);
	}
	return certain;
}

static bool later_is_due(const struct connector_later *later, uint64_t now)
{
	return later->n > 0 && later->entries[later->first].due_nsec <= now;
}

static const struct process *later_take(const struct connector *connector, struct connector_later *later)
{
	struct process_id id = later->entries[later->first].id;
	const struct process *process = table_find(hub_table(connector->hub), id.pid);

	later->first = (later->first + 1) % LATER_MAX;
	later->n--;
	later->taken++;
	return process && process->id.start_usec == id.start_usec ? process : NULL;
}

void connector_ask_due(struct connector *connector, uint64_t now)
{
	const struct process *process;
	struct group *group;

	while (later_is_due(&connector->orphans, now) &&
	       proc_helper_room(connector->helper) > ROOM_FOR_EXECS) {
		process = later_take(connector, &connector->orphans);
		if (!process || process->has & EVENT_BIT(ppid) ||
		    !connector_ask(connector, process->id.pid, 0, CONNECTOR_PARENT))
			connector->adopted++;
	}
	while (later_is_due(&connector->newborn, now) &&
	       proc_helper_room(connector->helper) > ROOM_FOR_EXECS) {
		process = later_take(connector, &connector->newborn);
		group = process ? groups_find(connector->groups, process->id.pid) : NULL;
		if (group)
			group->asked_later = false;
		if (process && (~process->has & (EVENT_BIT(cgroup) | EVENT_BIT(exe))))
			(void)connector_ask(connector, process->id.pid, FIELDS_ALL, CONNECTOR_DESCRIBE);
	}
}
