// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/message.h"
#include "source/connector/connector.h"

/*
 * More messages than this in the time of one pace are load: with the usual 5 ms some 1,600 processes a second that fork,
 * exec and exit, more than a shell script brings about. Below, names are worth more than wake-ups: /proc has them only for
 * as long as the process lives. No more than the other number at a pace means that load is over.
 */
#define LOAD_MESSAGES 24
#define REST_MESSAGES 12

/* Even without coalescing: publishing a full queue takes a moment. */
#define PACE_MIN_USEC (1 * USEC_PER_MSEC)

/* What one system call can bring. */
#define QUEUE_RESERVE (2 * NETLINK_BATCH)

#define TICK_USEC (250 * USEC_PER_MSEC)

/* A record whose exit has not come by then never will, unless its process lives; looked at so often. */
#define RECORD_AGE_NSEC (10 * NSEC_PER_SEC)

#define SUSPECTS_MAX 16
#define LISTEN_USEC  (100 * USEC_PER_MSEC)

void connector_message(const struct nlmsghdr *header, void *userdata)
{
	struct connector *connector = userdata;
	struct connector_message *message;
	struct cn_event cn;
	int r = cn_decode(&cn, header);

	if (r != 0) {
		connector->stats.malformed += r == CN_E_MALFORMED;
		return;
	}
	connector->stats.messages++;
	/* Only while something waits for an answer; the next one shows a hole then. */
	if (connector_queue_room(&connector->queue) == 0)
		return;
	message = connector_queue_push(&connector->queue, &cn);
	if (cn.nsec > connector->heard_nsec)
		connector->heard_nsec = cn.nsec;
	/* What is asked for already may be answered as it is after this. */
	if (cn.what == PROC_EVENT_EXEC || (cn.what == PROC_EVENT_COMM && cn.tid == cn.tgid))
		proc_helper_changed(connector->helper, cn.tgid, cn.nsec, cn.what == PROC_EVENT_EXEC);
	if (cn.what != PROC_EVENT_EXEC)
		return;
	message->question = connector_ask(connector, cn.tgid, FIELDS_ALL, CONNECTOR_DESCRIBE);
	if (message->question)
		message->question->awaited = true;
}

static void on_record(const struct taskstats_record *arrived, void *userdata)
{
	struct taskstats_record record = *arrived;
	struct connector *connector = userdata;

	record.heard_nsec = connector->drained_nsec;
	if (groups_record(connector->groups, &record) < 0)
		connector->records_lost++;
}

static unsigned int drain_records(struct connector *connector)
{
	unsigned int n;

	if (!connector->taskstats)
		return 0;
	n = taskstats_sockets_drain(connector->taskstats, connector->arena, on_record, connector,
				    &connector->records_lost);
	connector->drained_nsec = connector->heard_nsec;
	return n;
}

void connector_cover(struct connector *connector)
{
	drain_records(connector);
	connector->covered_nsec = monotonic_nsec();
}

/* The scan */

static bool awaits_end(void *userdata, uint32_t pid)
{
	const struct connector *connector = userdata;

	return groups_find(connector->groups, pid);
}

/* A group is missing until the scan finds it, except a group that had messages since the scan began. */
static void begin_scan(void *userdata, const struct proc_snapshot *snapshot)
{
	struct connector *connector = userdata;
	struct group *group;

	groups_count_begin(connector->groups);
	for (group = groups_first(connector->groups); group; group = group_next(group)) {
		group->old_count = true;
		group->missing = snapshot->skipped == 0 && group->changed_nsec < snapshot->begin_nsec;
	}
}

static void take_threads(void *userdata, const struct proc_snapshot *snapshot, const struct proc_entry *entry)
{
	struct connector *connector = userdata;
	struct group *group = groups_find(connector->groups, entry->event.pid);
	uint64_t born = entry->event.start_usec * NSEC_PER_USEC;

	if (group && group->changed_nsec >= snapshot->begin_nsec)
		return;
	groups_adopt(connector->groups, entry->event.pid, 0, clocks_monotonic_nsec(&connector->clocks, born));
	for (size_t i = 0; i < entry->n_tids; i++)
		(void)groups_count_thread(connector->groups, entry->event.pid, entry->tids[i]);
}

/* What the table does not know of is not among the missing that it reports. */
static void end_scan(void *userdata, uint64_t nsec)
{
	struct connector *connector = userdata;
	struct group *group, *next;

	groups_count_end(connector->groups);
	for (group = groups_first(connector->groups); group; group = next) {
		next = group_next(group);
		if (group->missing && !table_find(hub_table(connector->hub), group->tgid))
			connector_publish_gone(connector, group->tgid, nsec);
	}
}

const struct resync_ops connector_resync_ops = {
	.gone = connector_publish_gone,
	.awaits_end = awaits_end,
	.begin = begin_scan,
	.living = take_threads,
	.settled = end_scan,
};

/* Publishing */

/* Losses */

/* All holes of the messages in the queue at once. */
static void report_lost(struct connector *connector)
{
	struct connector_loss loss = connector_queue_take_loss(&connector->queue);

	if (!loss.count)
		return;
	connector->stats.lost_messages += loss.count;
	resync_want(connector->resync);
	hub_lost(connector->hub, "netlink", loss.count, connector_time_usec(connector, loss.since_nsec),
		 connector_time_usec(connector, loss.until_nsec), "proc connector");
	connector_cover(connector);
}

static void publish_one(struct connector *connector, const struct connector_message *message)
{
	struct proc_question *question = message->question;

	if (message->lost)
		report_lost(connector);
	resync_settle(connector->resync, message->cn.nsec, false);
	connector_publish_message(connector, message);
	connector->published_nsec = message->cn.nsec;
	if (!question)
		return;
	/* One that is still open is the table's from now on. */
	question->awaited = false;
	if (question->answered)
		proc_helper_give(connector->helper, question);
}

/* Is an answer on its way that is worth waiting for? */
static bool message_waits(const struct connector *connector, const struct connector_message *message,
			  uint64_t now)
{
	return message->question && !message->question->answered &&
	       now < message->read_nsec + connector->coalesce_usec * NSEC_PER_USEC;
}

static struct timeval timeval_of(uint64_t usec)
{
	return (struct timeval){ .tv_sec = (time_t)(usec / USEC_PER_SEC),
				 .tv_usec = (suseconds_t)(usec % USEC_PER_SEC) };
}

static void hold_until(struct connector *connector, uint64_t nsec, uint64_t now)
{
	struct timeval time = timeval_of(nsec > now ? (nsec - now) / NSEC_PER_USEC + 1 : 1);

	event_add(connector->hold, &time);
}

void connector_process(struct connector *connector, bool now)
{
	struct connector_queue *queue = &connector->queue;
	struct connector_message *message;
	uint64_t nsec = monotonic_nsec();
	bool any = false;

	if (!connector_queue_is_empty(queue))
		clocks_read(&connector->clocks);
	while (!resync_holds(connector->resync, nsec) && (message = connector_queue_peek(queue, 0))) {
		if (!now && message_waits(connector, message, nsec)) {
			hold_until(connector, message->read_nsec + connector->coalesce_usec * NSEC_PER_USEC,
				   nsec);
			break;
		}
		publish_one(connector, message);
		connector_queue_drop(queue);
		any = true;
	}
	if (any)
		hub_flush(connector->hub);
}

/*
 * What the helper has answered since. Collected before messages are read, and used after: then all that had changed when the
 * answer was read is known.
 */
static void collect_answers(struct connector *connector)
{
	struct proc_question *question;

	while ((question = proc_helper_collect(connector->helper)))
		if (!question->awaited)
			connector->late[connector->n_late++] = question;
}

static bool scan_holds(const struct connector *connector)
{
	return resync_holds(connector->resync, monotonic_nsec());
}

unsigned int connector_cycle(struct connector *connector)
{
	struct netlink_drain drain = {};
	int r = 1;

	if (resync_collect(connector->resync, connector->helper)) {
		connector->stats.resyncs++;
		hub_flush(connector->hub);
	}
	collect_answers(connector);
	while (r > 0 && connector_queue_room(&connector->queue) >= QUEUE_RESERVE)
		r = netlink_receive(connector->fd, connector->arena, connector_message, connector, &drain);
	/* After reading the messages and before publishing them, so that every exit among them has its record. */
	if (drain.datagrams > 0)
		drain_records(connector);
	/* The next message of each CPU shows how many were lost. */
	if (drain.overrun) {
		resync_want(connector->resync);
		connector_cover(connector);
	}
	connector_process(connector, false);
	connector_use_late(connector);
	resync_begin(connector->resync, connector->helper);
	return drain.datagrams;
}

static void pace_begin(struct connector *connector)
{
	struct timeval time = timeval_of(connector->coalesce_usec > PACE_MIN_USEC ? connector->coalesce_usec
										  : PACE_MIN_USEC);

	if (!connector->paced) {
		event_del(connector->readable);
		event_del(connector->answered);
		connector->paced = true;
	}
	event_add(connector->pace, &time);
}

static void pace_end(struct connector *connector)
{
	connector->paced = false;
	connector->window_messages = 0;
	event_add(connector->readable, NULL);
	event_add(connector->answered, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct connector *connector = userdata;
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	unsigned int n;

	(void)fd, (void)what;
	connector->stats.wakeups++;
	n = connector_cycle(connector);
	if (now - connector->window_usec > connector->coalesce_usec) {
		connector->window_usec = now;
		connector->window_messages = 0;
	}
	connector->window_messages += n;
	/* A full queue cannot be read, so waking up for it would be in vain. */
	if (connector_queue_room(&connector->queue) < QUEUE_RESERVE ||
	    (connector->coalesce_usec > 0 && connector->window_messages > LOAD_MESSAGES))
		pace_begin(connector);
}

static void on_pace(evutil_socket_t fd, short what, void *userdata)
{
	struct connector *connector = userdata;
	unsigned int n;

	(void)fd, (void)what;
	connector->stats.wakeups++;
	n = connector_cycle(connector);
	if (n > REST_MESSAGES || scan_holds(connector))
		pace_begin(connector);
	else
		pace_end(connector);
}

/* Before an answer is used, all is read that may say that it came too late. */
static void on_answered(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	connector_cycle(userdata);
}

static void on_hold(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	connector_cycle(userdata);
}

static void report_lost_records(struct connector *connector)
{
	uint64_t now = clock_usec(CLOCK_REALTIME);
	char detail[64];

	if (connector->records_lost > 0) {
		connector->stats.lost_records += connector->records_lost;
		snprintf(detail, sizeof(detail), "taskstats: usage of %llu threads is missing",
			 (unsigned long long)connector->records_lost);
		hub_lost(connector->hub, "netlink", connector->records_lost, connector->records_since_usec,
			 now, detail);
		hub_flush(connector->hub);
		connector->records_lost = 0;
	}
	connector->records_since_usec = now;
}

/* Silence */

static void cure_silence(struct connector *connector)
{
	uint64_t since = connector_time_usec(connector, connector->published_nsec);
	int fd = cn_socket_open(connector->socket_buffer), old = connector->fd, r = fd;
	struct netlink_drain drain = {};

	connector_process(connector, true);
	if (fd >= 0)
		r = cn_socket_insist(fd, LISTEN_USEC, connector->arena, connector_message, connector, &drain);
	if (r != 0) {
		if (!connector->cure_failed)
			msg_warning("The proc connector is silent and does not answer; retrying.");
		connector->cure_failed = true;
		if (fd >= 0)
			close(fd);
		return;
	}
	/* The kernel no longer counts the old socket. Unsubscribing it would stop the events of another listener. */
	connector->fd = fd;
	if (connector_read_socket(connector) < 0)
		msg_err("Out of memory: stopped reading the proc connector.");
	close(old);
	connector->cure_failed = false;
	connector->stats.unarmed++;
	resync_want(connector->resync);
	resync_hurry(connector->resync);
	hub_lost(connector->hub, "unarmed", HUB_COUNT_UNKNOWN, since, clock_usec(CLOCK_REALTIME),
		 "another program made the kernel stop sending events");
	hub_flush(connector->hub);
	msg_warning("The proc connector had fallen silent; listening again.");
	connector_cover(connector);
}

static void report_past_silence(struct connector *connector, uint64_t now)
{
	uint64_t since;

	if (scan_holds(connector) || !connector_queue_is_empty(&connector->queue))
		return;
	since = connector_past_silence(connector, now);
	if (!since)
		return;
	connector->stats.unarmed++;
	resync_want(connector->resync);
	hub_lost(connector->hub, "unarmed", HUB_COUNT_UNKNOWN, connector_time_usec(connector, since),
		 clock_usec(CLOCK_REALTIME), "the kernel stopped sending events for a moment");
	connector_cover(connector);
}

/* Groups that ought to have ended */

static void check_suspects(struct connector *connector, uint64_t now)
{
	struct proc_question *question;
	struct group *group;

	for (unsigned int i = 0; i < SUSPECTS_MAX && (group = groups_suspect(connector->groups, now)); i++) {
		question = connector_ask(connector, group->tgid, 0, CONNECTOR_ALIVE);
		if (question)
			question->start_usec = group->ending_nsec;
	}
}

static void run_tick(struct connector *connector)
{
	uint64_t now = monotonic_nsec();
	unsigned int records = drain_records(connector);
	bool silent = connector_is_silent(connector, now, records);

	connector_cycle(connector);
	if (silent && !scan_holds(connector) && connector->stats.messages == connector->tick_messages)
		cure_silence(connector);
	report_lost_records(connector);
	resync_settle(connector->resync, 0, connector_queue_is_empty(&connector->queue));
	check_suspects(connector, now);
	report_past_silence(connector, now);
	if (now > connector->expired_nsec + RECORD_AGE_NSEC) {
		connector->expired_nsec = now;
		groups_expire(connector->groups, now - RECORD_AGE_NSEC);
	}
	hub_flush(connector->hub);
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	run_tick(userdata);
}

int connector_read_socket(struct connector *connector)
{
	if (connector->readable)
		event_free(connector->readable);
	connector->readable =
		event_new(connector->base, connector->fd, EV_READ | EV_PERSIST, on_readable, connector);
	if (!connector->readable)
		return -ENOMEM;
	if (!connector->paced)
		event_add(connector->readable, NULL);
	return 0;
}

int connector_read_start(struct connector *connector)
{
	const struct timeval tick = { .tv_usec = TICK_USEC };
	struct event_base *base = connector->base;
	int r = connector_read_socket(connector);

	if (r < 0)
		return r;
	connector->answered = event_new(base, proc_helper_fd(connector->helper), EV_READ | EV_PERSIST,
					on_answered, connector);
	connector->pace = evtimer_new(base, on_pace, connector);
	connector->hold = evtimer_new(base, on_hold, connector);
	connector->tick = event_new(base, -1, EV_PERSIST, on_tick, connector);
	if (!connector->answered || !connector->pace || !connector->hold || !connector->tick)
		return -ENOMEM;
	event_add(connector->answered, NULL);
	event_add(connector->tick, &tick);
	return 0;
}

void connector_read_stop(struct connector *connector)
{
	struct event **events[] = { &connector->readable, &connector->answered, &connector->pace,
				    &connector->hold, &connector->tick };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i])
			event_free(*events[i]);
		*events[i] = NULL;
	}
}
