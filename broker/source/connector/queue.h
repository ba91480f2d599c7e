/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages that were read from the socket and not yet published, in the order of reading, and how many the kernel dropped.
 */

#include <stddef.h>

#include "source/connector/proc-event.h"
#include "source/proc/reader.h"

#define QUEUE_MAX      32768 /* a power of 2 */
#define QUEUE_CPUS_MAX 8192

struct connector_message {
	struct cn_event cn;
	bool gap; /* messages of this CPU are missing before it */
	uint64_t
		overrun_nsec; /* messages of all CPUs are missing before it: when that was noticed; 0: none */
	uint64_t read_nsec;
	struct proc_question *question; /* NULL: no question was asked, or asking failed */
};

/* Messages that the kernel dropped. Times are of CLOCK_MONOTONIC. */
struct connector_loss {
	uint64_t count; /* 0: none */
	uint64_t since_nsec, until_nsec;
};

/*
 * Both ways to count dropped messages find the same ones. The socket's counter has them at once; the gap in the numbers of a CPU
 * is known only with the next message of that CPU, but includes messages for which the kernel had no memory. So each way adds
 * up what it found, and a loss is new as far as one sum exceeds what is reported.
 */
struct connector_drops {
	uint64_t by_gaps, by_socket; /* found since the start */
	uint64_t reported;
	uint32_t socket_count; /* the socket's counter when it was last read */
	bool open;	    /* the socket overflowed, and was not empty since: it still drops every message */
	bool pending;	    /* the socket overflowed, and that is not reported yet */
	uint64_t lost_nsec; /* when that was noticed */
	uint64_t
		at; /* the number of the message before which that loss is reported, see connector_queue.head */
	uint64_t
		gaps_until; /* gaps before messages with smaller numbers are no part of a loss that was reported */
	/* When overruns were noticed that no message came after yet: the first and the last one. 0: none. */
	uint64_t first_nsec, last_nsec;
};

/* connector_drops_are_new() - are there dropped messages that are not reported yet? */
bool connector_drops_are_new(const struct connector_drops *drops);

/* connector_drops_take() - how many dropped messages are not reported yet; they count as reported from now on */
uint64_t connector_drops_take(struct connector_drops *drops);

/* connector_drops_begin() - an overrun was noticed at this time */
void connector_drops_begin(struct connector_drops *drops, uint64_t nsec);
/*
 * connector_drops_pass() - a message with this time was read: the first one of those that came after an overrun?
 * Return: when that overrun was noticed, or 0.
 */
uint64_t connector_drops_pass(struct connector_drops *drops, uint64_t nsec);
/* connector_drops_place() - an overrun is reported before the message with this number, or before that of an earlier one */
void connector_drops_place(struct connector_drops *drops, uint64_t nsec, uint64_t at);

struct connector_queue {
	struct connector_message *messages; /* owned */
	uint64_t head, tail;		    /* count up; modulo the size they are places */
	struct connector_cpu *cpus;	    /* owned */
	struct connector_loss loss;	    /* not reported yet */
};

/* connector_queue_init() - Return: 0 or -ENOMEM; call connector_queue_done() in either case. */
int connector_queue_init(struct connector_queue *queue);
void connector_queue_done(struct connector_queue *queue);

static inline bool connector_queue_is_empty(const struct connector_queue *queue)
{
	return queue->head == queue->tail;
}

static inline size_t connector_queue_room(const struct connector_queue *queue)
{
	return QUEUE_MAX - (queue->head - queue->tail);
}

/* connector_queue_push() - add a message that was just read; there must be room */
struct connector_message *connector_queue_push(struct connector_queue *queue, const struct cn_event *cn);

/* connector_queue_peek() - the nth message; the first one is 0; NULL: there are fewer */
struct connector_message *connector_queue_peek(const struct connector_queue *queue, uint64_t n);

static inline void connector_queue_drop(struct connector_queue *queue)
{
	queue->tail++;
}

/* connector_queue_take_loss() - the sum of all gaps since the last call */
struct connector_loss connector_queue_take_loss(struct connector_queue *queue);
