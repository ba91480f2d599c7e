// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/pace.h"

#include <errno.h>

#include "base/clock.h"
#include "core/priority.h"

/*
 * More messages than LOAD_MESSAGES in one interval are load. With the usual 5 ms this is about 1,600 processes a second that
 * fork, exec and exit, more than a shell script starts. Below it, a name is worth a wake-up, since /proc has it only while
 * the process lives. Load is over when an interval has no more messages than REST_MESSAGES.
 */
#define LOAD_MESSAGES 24
#define REST_MESSAGES 12

/* Also without coalescing, the next cycle waits a moment: publishing a full queue takes time. */
#define PACE_MIN_USEC (1 * USEC_PER_MSEC)

/* An exit that only its record reports is noticed after at most this time. */
#define CHECK_USEC (10 * USEC_PER_MSEC)

#define TICK_USEC (250 * USEC_PER_MSEC)

void pace_init(struct pace *pace, struct event_base *base, uint64_t coalesce_usec, const struct pace_ops *ops,
	       void *userdata)
{
	*pace = (struct pace){
		.base = base, .ops = ops, .userdata = userdata, .coalesce_usec = coalesce_usec
	};
}

static struct timeval timeval_of(uint64_t usec)
{
	return (struct timeval){ .tv_sec = (time_t)(usec / USEC_PER_SEC),
				 .tv_usec = (suseconds_t)(usec % USEC_PER_SEC) };
}

static void load_begin(struct pace *pace)
{
	struct timeval time =
		timeval_of(pace->coalesce_usec > PACE_MIN_USEC ? pace->coalesce_usec : PACE_MIN_USEC);

	if (!pace->loaded) {
		if (pace->readable)
			event_del(pace->readable);
		event_del(pace->answered);
		pace->loaded = true;
	}
	event_add(pace->load, &time);
}

static void load_end(struct pace *pace)
{
	pace->loaded = false;
	pace->window_messages = 0;
	if (pace->readable)
		event_add(pace->readable, NULL);
	event_add(pace->answered, NULL);
}

static void check_later(struct pace *pace)
{
	struct timeval time = timeval_of(CHECK_USEC);

	if (!pace->checking && pace->check)
		event_add(pace->check, &time);
	pace->checking = true;
}

static void note_heard(struct pace *pace)
{
	if (!pace->records || pace->heard)
		return;
	pace->heard = true;
	event_del(pace->records);
	check_later(pace);
}

/* Its message follows at once, unless the kernel sends none. */
static void on_record(evutil_socket_t fd, short what, void *userdata)
{
	struct pace *pace = userdata;

	(void)fd, (void)what;
	pace->wakeups++;
	pace->ops->record(pace->userdata);
	check_later(pace);
}

static void on_check(evutil_socket_t fd, short what, void *userdata)
{
	struct pace *pace = userdata;
	bool again;

	(void)fd, (void)what;
	pace->wakeups++;
	pace->checking = false;
	again = pace->ops->check(pace->userdata);
	if (again || pace->heard)
		check_later(pace);
	if (!pace->heard)
		event_add(pace->records, NULL);
	pace->heard = false;
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct pace *pace = userdata;
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	unsigned int n;

	(void)fd, (void)what;
	pace->wakeups++;
	n = pace->ops->cycle(pace->userdata);
	if (n > 0)
		note_heard(pace);
	if (now - pace->window_usec > pace->coalesce_usec) {
		pace->window_usec = now;
		pace->window_messages = 0;
	}
	pace->window_messages += n;
	if (pace->ops->full(pace->userdata) ||
	    (pace->coalesce_usec > 0 && pace->window_messages > LOAD_MESSAGES))
		load_begin(pace);
}

static void on_load(evutil_socket_t fd, short what, void *userdata)
{
	struct pace *pace = userdata;
	unsigned int n;

	(void)fd, (void)what;
	pace->wakeups++;
	n = pace->ops->cycle(pace->userdata);
	if (n > 0)
		note_heard(pace);
	if (n > REST_MESSAGES || pace->ops->held(pace->userdata))
		load_begin(pace);
	else
		load_end(pace);
}

/* An answer arrived, or its time is over. Run a whole cycle: messages that make the answer obsolete are read first. */
static void on_answered(evutil_socket_t fd, short what, void *userdata)
{
	struct pace *pace = userdata;

	(void)fd, (void)what;
	pace->ops->cycle(pace->userdata);
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	struct pace *pace = userdata;

	(void)fd, (void)what;
	pace->ops->tick(pace->userdata);
}

int pace_listen(struct pace *pace, int fd)
{
	if (pace->readable)
		event_free(pace->readable);
	pace->readable = event_new(pace->base, fd, EV_READ | EV_PERSIST, on_readable, pace);
	if (!pace->readable)
		return -ENOMEM;
	event_priority_set(pace->readable, PRIORITY_SOURCE);
	if (!pace->loaded)
		event_add(pace->readable, NULL);
	return 0;
}

void pace_hold(struct pace *pace, uint64_t nsec)
{
	struct timeval time = timeval_of(nsec / NSEC_PER_USEC + 1);

	event_add(pace->hold, &time);
}

static int start_checks(struct pace *pace, int record_fd)
{
	pace->records = event_new(pace->base, record_fd, EV_READ | EV_PERSIST, on_record, pace);
	pace->check = evtimer_new(pace->base, on_check, pace);
	if (!pace->records || !pace->check)
		return -ENOMEM;
	event_priority_set(pace->records, PRIORITY_SOURCE);
	event_priority_set(pace->check, PRIORITY_SOURCE);
	event_add(pace->records, NULL);
	return 0;
}

int pace_start(struct pace *pace, int message_fd, int answer_fd, int record_fd)
{
	const struct timeval tick = { .tv_usec = TICK_USEC };

	pace->answered = event_new(pace->base, answer_fd, EV_READ | EV_PERSIST, on_answered, pace);
	pace->load = evtimer_new(pace->base, on_load, pace);
	pace->hold = evtimer_new(pace->base, on_answered, pace);
	pace->tick = event_new(pace->base, -1, EV_PERSIST, on_tick, pace);
	if (!pace->answered || !pace->load || !pace->hold || !pace->tick)
		return -ENOMEM;
	if (record_fd >= 0 && start_checks(pace, record_fd) < 0)
		return -ENOMEM;
	event_priority_set(pace->answered, PRIORITY_SOURCE);
	event_priority_set(pace->load, PRIORITY_SOURCE);
	event_priority_set(pace->hold, PRIORITY_SOURCE);
	event_priority_set(pace->tick, PRIORITY_SOURCE);
	event_add(pace->answered, NULL);
	event_add(pace->tick, &tick);
	return pace_listen(pace, message_fd);
}

void pace_stop(struct pace *pace)
{
	struct event **events[] = { &pace->readable, &pace->answered, &pace->load, &pace->hold,
				    &pace->tick,     &pace->records,  &pace->check };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i])
			event_free(*events[i]);
		*events[i] = NULL;
	}
}
