// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/connector.h"

/* Questions that are already pending may get answers from after this message: pass its time on. */
static void date_questions(struct connector *connector, const struct cn_event *cn)
{
	enum proc_change change;

	if (cn->tid != cn->tgid)
		return;
	switch (cn->what) {
	case PROC_EVENT_FORK:
		change = PROC_CHANGE_OWNER;
		break;
	case PROC_EVENT_EXEC:
		change = PROC_CHANGE_PROGRAM;
		break;
	case PROC_EVENT_COMM:
		change = PROC_CHANGE_NAME;
		break;
	case PROC_EVENT_UID:
	case PROC_EVENT_GID:
		change = PROC_CHANGE_IDS;
		break;
	case PROC_EVENT_SID:
		change = PROC_CHANGE_SESSION;
		break;
	default:
		return;
	}
	proc_helper_changed(connector->helper, cn->tgid, change, cn->nsec);
}

/*
 * What a child has from its maker is asked where it is not certain who that is, but only for the ids, which decide who sees it:
 * in a shell with other children the rest is seldom certain, and an exec follows that has it.
 */
static bool fork_is_doubtful(const struct connector *connector, const struct cn_event *cn)
{
	const struct process *parent;

	if (cn->what != PROC_EVENT_FORK || cn->tid != cn->tgid)
		return false;
	parent = table_find(hub_table(connector->hub), cn->fork.parent_tgid);
	return !parent || PROCFS_IDS & parent->has & ~connector_certain(connector, parent);
}

void connector_take_overrun(struct connector *connector)
{
	if (!connector->drain.overrun_nsec)
		return;
	connector_drops_begin(&connector->drops, connector->drain.overrun_nsec);
	connector->drain.overrun_nsec = 0;
}

static bool is_after_loss(struct connector *connector, struct connector_message *message)
{
	message->overrun_nsec = connector_drops_pass(&connector->drops, message->cn.nsec);
	if (message->overrun_nsec)
		connector_drops_place(&connector->drops, message->overrun_nsec, connector->queue.head - 1);
	return message->overrun_nsec || message->gap;
}

void connector_take_message(const struct nlmsghdr *header, void *userdata)
{
	struct connector *connector = userdata;
	struct connector_message *message;
	struct cn_event cn;
	int r = cn_decode(&cn, header);

	connector_take_overrun(connector);
	if (r != 0) {
		connector->stats.malformed += r == CN_E_MALFORMED;
		return;
	}
	connector->stats.messages++;
	/* The answer to a request of some program: it may have been one to stop. */
	if (cn.what == PROC_EVENT_NONE) {
		connector->answered = true;
		connector->answer_nsec = cn.nsec;
	}
	/* The queue is full only while its head waits for an answer. */
	if (connector_queue_room(&connector->queue) == 0) {
		connector->drops.by_socket++;
		connector->drops.open = true;
		return;
	}
	message = connector_queue_push(&connector->queue, &cn);
	if (cn.nsec > connector->heard_nsec)
		connector->heard_nsec = cn.nsec;
	if (is_after_loss(connector, message))
		proc_helper_doubt(connector->helper);
	date_questions(connector, &cn);
	if (cn.what != PROC_EVENT_EXEC && !fork_is_doubtful(connector, &cn))
		return;
	message->question = connector_ask(connector, cn.tgid, FIELDS_ALL, CONNECTOR_DESCRIBE);
	if (message->question)
		message->question->awaited = true;
}

static void on_record(const struct taskstats_record *arrived, void *userdata)
{
	struct taskstats_record record = *arrived;
	struct connector *connector = userdata;

	record.after_nsec = connector->after_nsec;
	record.heard_nsec = connector->drained_nsec;
	if (groups_record(connector->groups, &record) < 0)
		connector->records_lost++;
}

unsigned int connector_take_records(struct connector *connector)
{
	uint64_t before = connector->records_read_usec, lost = connector->records_lost;
	uint64_t since = connector->records_read_nsec;
	unsigned int n;

	if (!connector->taskstats)
		return 0;
	connector->records_read_usec = clock_usec(CLOCK_REALTIME);
	connector->records_read_nsec = monotonic_nsec();
	n = taskstats_sockets_drain(connector->taskstats, connector->arena, on_record, connector,
				    &connector->records_lost);
	connector->drained_nsec = connector->heard_nsec;
	/* While the other socket is full, the exits of later records are lost, too: only what was heard is certain. */
	connector->after_nsec = connector->drops.open ? connector->heard_nsec : connector->records_read_nsec;
	if (connector->records_lost > lost)
		groups_records_lost(connector->groups, since, monotonic_nsec());
	if (connector->records_lost > 0 && !connector->records_since_usec)
		connector->records_since_usec = before;
	return n;
}
