// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/connector.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/message.h"

/* At most so often a silence is reported, if it repeats itself. */
#define UNARMED_PAUSE_NSEC (200 * NSEC_PER_MSEC)

/* How many times a program is looked at that has not run yet. */
#define TRIES_MAX 3

/* At most so often a silence is logged, and hurries the scan that follows it. */
#define CURE_NOTE_NSEC (10 * NSEC_PER_SEC)

/* Free places in the queue that a read needs: one system call can return this many messages. */
#define QUEUE_RESERVE (2 * NETLINK_BATCH)

/* Records this old are dropped if their process is gone: their exit message was lost. Checked at the same interval. */
#define RECORD_AGE_NSEC (10 * NSEC_PER_SEC)

/* All losses up to now are reported. */
static void cover(struct connector *connector)
{
	connector_take_records(connector);
	silence_cover(&connector->silence, monotonic_nsec());
}

/* The same for those of a socket that was full. */
static void cover_overrun(struct connector *connector)
{
	cover(connector);
	silence_crowd(&connector->silence, connector->silence.covered_nsec);
}

/* Publishing */

static void report_lost(struct connector *connector, uint64_t count, uint64_t since_nsec, uint64_t until_nsec)
{
	connector->noted_nsec = monotonic_nsec();
	resync_want(connector->resync);
	if (count == 0)
		return;
	connector->stats.lost_messages += count;
	hub_lost(connector->hub, "netlink", count, connector_time_usec(connector, since_nsec),
		 connector_time_usec(connector, until_nsec), "proc connector");
	cover_overrun(connector);
}

/*
 * Report what is missing before this message, unless the socket counted it: that overrun was reported, and this CPU had no
 * message since.
 */
static void report_gap(struct connector *connector, const struct connector_message *message)
{
	uint64_t count;

	connector->drops.by_gaps += message->gap;
	count = connector_drops_take_gaps(&connector->drops);
	if (!count)
		return;
	groups_lost(connector->groups, message->gap_nsec, message->cn.nsec);
	report_lost(connector, count, message->gap_nsec, message->cn.nsec);
}

/*
 * An overrun is reported after the messages that the socket still held: they are older. The next message of the CPU that it hit
 * may come much later.
 */
static void report_overrun(struct connector *connector)
{
	if (!connector->drops.pending || connector->queue.tail < connector->drops.at)
		return;
	connector->drops.pending = false;
	groups_lost(connector->groups, connector->published_nsec, connector->drops.lost_nsec);
	report_lost(connector, connector_drops_take(&connector->drops), connector->published_nsec,
		    monotonic_nsec());
}

/* Before the messages of the same turn: the exits without records are among them. */
static void report_lost_records(struct connector *connector)
{
	char detail[64];

	connector->stats.lost_records += connector->records_lost;
	snprintf(detail, sizeof(detail), "taskstats: usage of %llu threads is missing",
		 (unsigned long long)connector->records_lost);
	hub_lost(connector->hub, "netlink", connector->records_lost, connector->records_since_usec,
		 clock_usec(CLOCK_REALTIME), detail);
	connector->records_lost = connector->records_since_usec = 0;
}

static void translate(struct connector *connector, const struct connector_message *message)
{
	const struct cn_event *cn = &message->cn;

	if (cn->what == PROC_EVENT_EXIT) {
		connector_publish_exit(connector, cn);
		return;
	}
	if (cn->what == PROC_EVENT_FORK)
		connector_end_replaced(connector, cn);
	connector_publish_message(connector, message);
}

/* Each overrun is noted at its place, although the first one reports all of them: each may hide other forks. */
static void take_losses(struct connector *connector, const struct connector_message *message)
{
	if (message->overrun_nsec)
		groups_lost(connector->groups, connector->published_nsec, message->overrun_nsec);
	report_gap(connector, message);
}

static void publish_one(struct connector *connector, struct connector_message *message)
{
	struct proc_question *question = message->question;

	message->cn.reused = connector_queue_may_fork(&connector->queue, message->cn.tgid);
	take_losses(connector, message);
	resync_settle(connector->resync, message->cn.nsec, false);
	translate(connector, message);
	connector->published_nsec = message->cn.nsec;
	if (!question)
		return;
	/* A question without an answer stays with the helper; its answer only updates the table. */
	question->awaited = false;
	if (question->answered)
		proc_helper_give(connector->helper, question);
}

static uint64_t answer_due(const struct connector *connector, const struct connector_message *message)
{
	return message->read_nsec + connector->pace.coalesce_usec * NSEC_PER_USEC;
}

/*
 * Does this message still wait for an answer from /proc? If the process ended while it was read, the message of its end
 * proves that there was no other program.
 */
static bool message_waits(struct connector *connector, const struct connector_message *message, uint64_t now)
{
	const struct proc_question *question = message->question;
	struct connector_end end;

	if (!question || now >= answer_due(connector, message))
		return false;
	if (!question->answered)
		return true;
	return question->found && EVENT_HAS(&question->event, exe) && !question->stat.settled &&
	       proc_question_precedes(question, PROC_CHANGE_PROGRAM) &&
	       !connector_find_end(connector, &message->cn, &end);
}

/* Publish the messages in the queue; @now: do not wait for answers. */
static void process_queue(struct connector *connector, bool now)
{
	struct connector_queue *queue = &connector->queue;
	struct connector_message *message;
	uint64_t nsec = monotonic_nsec();
	bool any = false;

	if (!connector_queue_is_empty(queue) || connector->drops.pending)
		clocks_read(&connector->clocks);
	if (connector->records_lost > 0) {
		report_lost_records(connector);
		any = true;
	}
	if (!resync_holds(connector->resync, nsec) && connector->drops.pending) {
		report_overrun(connector);
		any = true;
	}
	while (!resync_holds(connector->resync, nsec) && (message = connector_queue_peek(queue, 0))) {
		if (!now && message_waits(connector, message, nsec)) {
			pace_hold(&connector->pace, answer_due(connector, message) - nsec);
			break;
		}
		publish_one(connector, message);
		connector_queue_drop(queue);
		report_overrun(connector);
		any = true;
	}
	if (any)
		hub_flush(connector->hub);
}

/* The program is being loaded, or has not run yet: what /proc shows may be the next program, whose exec is not reported. */
static bool is_too_early(const struct connector *connector, const struct proc_question *question)
{
	return question->awaited && question->found && (question->fields & EVENT_BIT(exe)) &&
	       !question->stat.settled && !procfs_stat_is_dead(&question->stat) && !connector->pace.loaded &&
	       question->tries < TRIES_MAX;
}

/*
 * Collect the helper's new answers. They are collected before messages are read, and used after it: by then every change
 * that an answer can reflect has been read, too.
 */
static void collect_answers(struct connector *connector)
{
	struct proc_question *question;

	while ((question = proc_helper_collect(connector->helper)))
		if (is_too_early(connector, question))
			connector->early[connector->n_early++] = question;
		else if (!question->awaited)
			connector->late[connector->n_late++] = question;
}

/* Ask again, unless the next program was reported meanwhile: then the answer stays what it is. */
static void repeat_early(struct connector *connector)
{
	struct proc_question *question;

	while (connector->n_early > 0) {
		question = connector->early[--connector->n_early];
		if (!question->changed_nsec[PROC_CHANGE_PROGRAM])
			proc_helper_repeat(connector->helper, question);
	}
}

/* Update the table by answers that arrived after their event was published. */
static void use_late(struct connector *connector)
{
	struct proc_question *question;

	while (connector->n_late > 0) {
		question = connector->late[--connector->n_late];
		if (question->purpose == CONNECTOR_DESCRIBE)
			connector_answer_late(connector, question);
		else if (question->purpose == CONNECTOR_PARENT)
			connector_answer_parent(connector, question);
		else
			connector_answer_alive(connector, question);
		proc_helper_give(connector->helper, question);
	}
}

/*
 * An overflowing socket drops each message until it is empty, and says so only once: read its counter until then. A message
 * that is dropped after this counter was read, and after the socket was empty, is another overrun. Return: whether it was read.
 */
static bool note_drops(struct connector *connector, bool empty)
{
	struct connector_drops *drops = &connector->drops;

	connector_take_overrun(connector);
	if (!connector->drain.overrun && !drops->open)
		return false;
	drops->open = !empty;
	drops->by_socket += netlink_count_drops(connector->fd, &drops->socket_count);
	if (empty && drops->first_nsec) {
		connector_drops_place(drops, drops->last_nsec, connector->queue.head);
		drops->first_nsec = drops->last_nsec = 0;
	}
	proc_helper_doubt(connector->helper);
	resync_want(connector->resync);
	cover_overrun(connector);
	return true;
}

/* It goes on in the next cycle, at once. */
static void merge_scan(struct connector *connector)
{
	int r = resync_collect(connector->resync, connector->helper);

	connector->stats.resyncs += r == RESYNC_ALL;
	if (r != RESYNC_NOTHING)
		hub_flush(connector->hub);
}

/* After an overrun the counter can have messages of the next one already, whose time would not be reported. So look again. */
static void read_messages(struct connector *connector)
{
	struct netlink_drain *drain = &connector->drain;
	int r;

	do {
		r = 1;
		drain->overrun = false;
		while (r > 0 && connector_queue_room(&connector->queue) >= QUEUE_RESERVE)
			r = netlink_receive(connector->fd, connector->arena, connector_take_message,
					    connector, drain);
	} while (note_drops(connector, r == 0) && r == 0);
}

/*
 * Read all messages, then all records, then publish these messages. The order matters: the kernel sends the record of a
 * thread before its exit message.
 */
static unsigned int run_cycle(void *userdata)
{
	struct connector *connector = userdata;
	struct netlink_drain *drain = &connector->drain;
	uint64_t now;

	*drain = (struct netlink_drain){};
	merge_scan(connector);
	collect_answers(connector);
	now = monotonic_nsec();
	read_messages(connector);
	if (drain->datagrams > 0)
		connector_take_records(connector);
	repeat_early(connector);
	process_queue(connector, false);
	if (connector_queue_is_empty(&connector->queue))
		connector->idle_nsec = now;
	use_late(connector);
	connector_ask_due(connector, connector->heard_nsec);
	resync_begin(connector->resync, connector->helper);
	if (resync_is_busy(connector->resync))
		pace_hold(&connector->pace, 0);
	return drain->datagrams;
}

/* The tick */

static bool scan_holds(const struct connector *connector)
{
	return resync_holds(connector->resync, monotonic_nsec());
}

static void report_unarmed_now(struct connector *connector, uint64_t now)
{
	if (!connector->unarmed_since_nsec)
		return;
	connector->stats.unarmed++;
	hub_lost(connector->hub, "unarmed", HUB_COUNT_UNKNOWN,
		 connector_time_usec(connector, connector->unarmed_since_nsec), clock_usec(CLOCK_REALTIME),
		 connector->unarmed_detail);
	connector->unarmed_since_nsec = 0;
	connector->unarmed_nsec = now;
}

/*
 * Report that the kernel stopped sending events, even if it has started again. Any program can make this happen a hundred
 * times a second: the first one is reported at once, and then those of each tick together.
 */
static void report_unarmed(struct connector *connector, uint64_t since_nsec, uint64_t until_nsec,
			   const char *detail)
{
	uint64_t now = monotonic_nsec();

	groups_lost(connector->groups, since_nsec, until_nsec);
	connector->noted_nsec = until_nsec;
	resync_want(connector->resync);
	cover(connector);
	if (!connector->unarmed_since_nsec)
		connector->unarmed_since_nsec = since_nsec;
	connector->unarmed_detail = detail;
	if (now >= connector->unarmed_nsec + UNARMED_PAUSE_NSEC)
		report_unarmed_now(connector, now);
}

int connector_listen(struct connector *connector, int fd, uint64_t wait_usec)
{
	int r;

	connector->drain = (struct netlink_drain){};
	r = cn_socket_insist(fd, wait_usec, connector->arena, connector_take_message, connector,
			     &connector->drain);
	connector_take_overrun(connector);
	connector->drops.open |= connector->drain.overrun;
	return r;
}

/* The kernel no longer counts the old socket. Unsubscribing it would stop the events of another listener. */
static void replace_socket(struct connector *connector, int fd)
{
	if (pace_listen(&connector->pace, fd) < 0)
		msg_err("Out of memory: stopped reading the proc connector.");
	close(connector->fd);
	connector->fd = fd;
	connector->drops.socket_count = 0;
}

/*
 * Any program can repeat it all the time. Each cure is reported, but the log of the service and the scans of /proc have limits.
 */
static void note_cure(struct connector *connector, uint64_t now)
{
	if (now < connector->cured_nsec + CURE_NOTE_NSEC && connector->cured_nsec)
		return;
	connector->cured_nsec = now;
	resync_hurry(connector->resync);
	msg_warning("Another program made the proc connector stop sending events; subscribed again.");
}

static void cure_silence(struct connector *connector)
{
	uint64_t since = connector->published_nsec;
	int fd = cn_socket_open(connector->socket_buffer), r = fd;

	/* The answer is there when the request is sent, so there is nothing to wait for. */
	if (fd >= 0)
		r = connector_listen(connector, fd, 0);
	if (r != 0) {
		if (!connector->cure_failed)
			msg_warning(
				"The proc connector stopped sending events and does not answer; retrying.");
		connector->cure_failed = true;
		if (fd >= 0)
			close(fd);
		return;
	}
	connector->cure_failed = false;
	replace_socket(connector, fd);
	note_cure(connector, monotonic_nsec());
	/* All messages after the answer are heard. */
	report_unarmed(connector, since, connector->answer_nsec,
		       "another program made the kernel stop sending events");
}

/* Only a message that must come, and does not, proves that the kernel sends none. */
static bool is_silent(struct connector *connector)
{
	uint64_t messages = connector->stats.messages;

	silence_provoke();
	run_cycle(connector);
	return connector->stats.messages == messages;
}

/*
 * The ends of threads that only taskstats reports: nobody can hide these. Publish them as if their messages had come, once it is
 * certain that these will not come.
 */
static void publish_unheard(struct connector *connector, const struct unheard *unheard, bool all,
			    uint64_t now)
{
	for (unsigned int i = 0; i < unheard->n; i++)
		if (all || unheard_is_overdue(&unheard->ends[i], now))
			connector_publish_exit(connector, &unheard->ends[i].exit);
}

/* Another program may have ended the silence before it was noticed. */
static void check_unheard(struct connector *connector)
{
	struct unheard *unheard = &connector->unheard;
	uint64_t now = monotonic_nsec();
	bool silent;

	silence_find(&connector->silence, connector->groups, now, unheard);
	silent = (unheard->since_nsec || connector->answered || connector->cure_failed) &&
		 is_silent(connector);
	if (!connector_queue_is_empty(&connector->queue))
		return;
	connector->answered = false;
	/* The messages of some of them may have come meanwhile. */
	silence_find(&connector->silence, connector->groups, now, unheard);
	clocks_read(&connector->clocks);
	publish_unheard(connector, unheard, silent, now);
	if (silent)
		proc_helper_doubt(connector->helper);
	if (silent)
		cure_silence(connector);
	else if (unheard->past_nsec)
		report_unarmed(connector, unheard->past_nsec, now,
			       "the kernel stopped sending events for a moment");
	hub_flush(connector->hub);
}

static void run_records(void *userdata)
{
	(void)connector_take_records(userdata);
}

static bool run_check(void *userdata)
{
	struct connector *connector = userdata;

	if (run_cycle(connector) == 0)
		connector_take_records(connector);
	/* A message in the queue may be the one that a record waits for. */
	if (scan_holds(connector) || !connector_queue_is_empty(&connector->queue))
		return true;
	if (groups_records(connector->groups) == 0 && !connector->answered && !connector->cure_failed)
		return false;
	check_unheard(connector);
	return connector->unheard.waits || connector->cure_failed;
}

/* Without records nothing else shows a silence. */
static void check_quiet(struct connector *connector, uint64_t now)
{
	if (connector->taskstats || !silence_is_due(&connector->silence, now, connector->stats.messages) ||
	    scan_holds(connector) || !is_silent(connector))
		return;
	cure_silence(connector);
}

static void run_tick(void *userdata)
{
	struct connector *connector = userdata;
	uint64_t now = monotonic_nsec();

	clocks_read(&connector->clocks);
	(void)run_check(connector);
	check_quiet(connector, now);
	report_unarmed_now(connector, now);
	connector_ask_due(connector, now);
	resync_settle(connector->resync, 0, connector_queue_is_empty(&connector->queue));
	if (resync_is_busy(connector->resync))
		pace_hold(&connector->pace, 0);
	connector_check_suspects(connector, now);
	if (now > connector->expired_nsec + RECORD_AGE_NSEC) {
		connector->expired_nsec = now;
		groups_expire(connector->groups, now - RECORD_AGE_NSEC);
	}
	hub_flush(connector->hub);
}

static bool is_full(void *userdata)
{
	const struct connector *connector = userdata;

	return connector_queue_room(&connector->queue) < QUEUE_RESERVE;
}

static bool is_held(void *userdata)
{
	return scan_holds(userdata);
}

const struct pace_ops connector_pace_ops = {
	.cycle = run_cycle,
	.full = is_full,
	.held = is_held,
	.record = run_records,
	.check = run_check,
	.tick = run_tick,
};

/* Start and finish */

int connector_run(struct connector *connector)
{
	const char *detail =
		connector->taskstats
			? "proc connector and taskstats"
			: "proc connector without taskstats: exits carry no usage except the elapsed time";
	int r;

	connector->published_nsec = connector->noted_nsec = connector->idle_nsec = monotonic_nsec();
	silence_init(&connector->silence, connector->published_nsec);
	connector->records_read_usec = clock_usec(CLOCK_REALTIME);
	connector->records_read_nsec = monotonic_nsec();
	clocks_read(&connector->clocks);
	connector->heard_nsec = connector->published_nsec;
	cover(connector);
	hub_source_changed(connector->hub, connector->source.ops->name, "started", detail);
	r = resync_first(connector->resync);
	if (r == 0)
		r = pace_start(&connector->pace, connector->fd, proc_helper_fd(connector->helper),
			       taskstats_sockets_fd(connector->taskstats));
	if (r < 0)
		msg_err("Cannot start reporting events: %s", strerror(-r));
	return r;
}

/* Called at the end, so an unfinished scan is not waited for. */
void connector_drain(struct connector *connector)
{
	do
		resync_release(connector->resync);
	while (run_cycle(connector) > 0);
	resync_release(connector->resync);
	process_queue(connector, true);
	report_unarmed_now(connector, monotonic_nsec());
}
