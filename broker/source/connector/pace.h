/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * When the source runs its cycle: at once for each message while it is quiet, and every few milliseconds under load, since
 * wake-ups are the most expensive part of listening. Besides, a slow tick for checks that no message triggers.
 *
 * A record wakes it only when no message has come for a while: while the kernel sends messages, the record's own message does.
 */

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct pace_ops {
	/* Read everything that is pending and publish what does not wait. Return: number of datagrams. */
	unsigned int (*cycle)(void *userdata);
	/* Is there no room to read anything? Then more messages cause no wake-ups. */
	bool (*full)(void *userdata);
	/* Does a scan hold the queue back? Then load is not over, however little was read. */
	bool (*held)(void *userdata);
	/* Read the records that are pending. */
	void (*record)(void *userdata);
	/* Does the kernel still send messages? Return: whether to look again soon. */
	bool (*check)(void *userdata);
	void (*tick)(void *userdata);
};

struct pace {
	struct event_base *base;
	const struct pace_ops *ops;
	void *userdata;
	uint64_t coalesce_usec;

	struct event *readable; /* a message, when quiet */
	struct event *answered; /* the helper has something, when quiet */
	struct event *load;	/* under load */
	struct event *hold;	/* the time for an answer is over */
	struct event *records;	/* a record, when no message has come for a while */
	struct event *check;	/* a while after the last message, or after a record without one */
	struct event *tick;
	bool loaded;
	bool checking;	      /* @check is set */
	bool heard;	      /* messages have come since it was set */
	uint64_t window_usec; /* CLOCK_MONOTONIC: since when messages are counted, to measure the load */
	unsigned int window_messages;
	uint64_t wakeups;
};

/* pace_init() - @coalesce_usec: under load, wake up no more often than this; 0: never wait */
void pace_init(struct pace *pace, struct event_base *base, uint64_t coalesce_usec, const struct pace_ops *ops,
	       void *userdata);
/* pace_start() - start the event sources. @record_fd: -1 if there is none. Return: 0 or -ENOMEM; call pace_stop() in any case. */
int pace_start(struct pace *pace, int message_fd, int answer_fd, int record_fd);
void pace_stop(struct pace *pace);

/* pace_listen() - read messages from another socket from now on. Return: 0; -ENOMEM: no socket is watched any more. */
int pace_listen(struct pace *pace, int fd);

/* pace_hold() - run a cycle in @nsec, even if no message arrives */
void pace_hold(struct pace *pace, uint64_t nsec);
