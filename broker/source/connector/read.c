// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "source/clocks.h"
#include "source/connector/connector.h"

/*
 * More messages than this in the time of one pace are load: with the usual 5 ms some 1,600 processes a second that fork,
 * exec and exit, more than a shell script brings about. Below, names are worth more than wake-ups: /proc has them only for
 * as long as the process lives. No more than the other number at a pace means that load is over.
 */
#define LOAD_MESSAGES 24
#define REST_MESSAGES 12

/* Also where nothing is to be coalesced: a full queue takes a moment to be told. */
#define PACE_MIN_USEC (1 * USEC_PER_MSEC)

/* What one system call can bring. */
#define QUEUE_RESERVE (2 * NETLINK_BATCH)

#define TICK_USEC (250 * USEC_PER_MSEC)

static size_t queue_room(const struct connector_queue *queue)
{
	return CONNECTOR_QUEUE_MAX - (queue->head - queue->tail);
}

static struct connector_message *queue_push(struct connector_queue *queue)
{
	struct connector_message *message = &queue->messages[queue->head++ % CONNECTOR_QUEUE_MAX];

	memset(message, 0, sizeof(*message));
	return message;
}

/* Sequence numbers count each CPU's messages, so a hole is exactly what was dropped. */
static void count_lost(struct connector *connector, struct connector_message *message)
{
	const struct cn_event *cn = &message->cn;
	struct connector_cpu *cpu;
	uint32_t gap;

	if (cn->cpu >= CONNECTOR_CPUS_MAX)
		return;
	cpu = &connector->cpus[cn->cpu];
	gap = cn->seq - cpu->next;
	if (cpu->counting && gap > 0 && gap < UINT32_MAX / 2) {
		message->lost = true;
		if (!connector->lost || cpu->last_nsec < connector->lost_since_nsec)
			connector->lost_since_nsec = cpu->last_nsec;
		if (!connector->lost || cn->nsec > connector->lost_until_nsec)
			connector->lost_until_nsec = cn->nsec;
		connector->lost += gap;
	}
	cpu->counting = true;
	cpu->next = cn->seq + 1;
	cpu->last_nsec = cn->nsec;
}

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
	if (queue_room(&connector->queue) == 0)
		return;
	message = queue_push(&connector->queue);
	message->cn = cn;
	message->read_nsec = monotonic_nsec();
	if (cn.nsec > connector->heard_nsec)
		connector->heard_nsec = cn.nsec;
	count_lost(connector, message);
	/* What is asked for already may be answered as it is after this. */
	if (cn.what == PROC_EVENT_EXEC || (cn.what == PROC_EVENT_COMM && cn.tid == cn.tgid))
		proc_helper_changed(connector->helper, cn.tgid, cn.nsec, cn.what == PROC_EVENT_EXEC);
	if (cn.what != PROC_EVENT_EXEC)
		return;
	message->asked = true;
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

unsigned int connector_drain_records(struct connector *connector)
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
	connector_drain_records(connector);
	connector->covered_nsec = monotonic_nsec();
}

const struct connector_message *connector_peek(const struct connector *connector, uint64_t n)
{
	const struct connector_queue *queue = &connector->queue;

	return n < queue->head - queue->tail ? &queue->messages[(queue->tail + n) % CONNECTOR_QUEUE_MAX]
					     : NULL;
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
	bool told = false;

	if (queue->head != queue->tail)
		clocks_read(&connector->clocks);
	while (queue->tail != queue->head && !connector->scanning) {
		message = &queue->messages[queue->tail % CONNECTOR_QUEUE_MAX];
		if (!now && message_waits(connector, message, nsec)) {
			hold_until(connector, message->read_nsec + connector->coalesce_usec * NSEC_PER_USEC,
				   nsec);
			break;
		}
		connector_tell(connector, message);
		queue->tail++;
		told = true;
	}
	if (told)
		hub_flush(connector->hub);
}

unsigned int connector_cycle(struct connector *connector)
{
	struct netlink_drain drain = {};
	int r = 1;

	connector_sync_end(connector);
	connector_collect(connector);
	while (r > 0 && queue_room(&connector->queue) >= QUEUE_RESERVE)
		r = netlink_receive(connector->fd, connector->arena, connector_message, connector, &drain);
	/* After the messages, before they are told: then every exit among them has its record. */
	if (drain.datagrams > 0)
		connector_drain_records(connector);
	/* How much it was is told with the next message of each CPU. */
	if (drain.overrun) {
		connector->resync_wanted = true;
		connector_cover(connector);
	}
	connector_process(connector, false);
	connector_use_late(connector);
	if (connector->resync_wanted)
		connector_sync_begin(connector);
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
	if (queue_room(&connector->queue) < QUEUE_RESERVE ||
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
	if (n > REST_MESSAGES || connector->scanning)
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

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	connector_tick(userdata);
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
