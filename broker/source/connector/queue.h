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
	uint64_t gap;	   /* so many messages of this CPU are missing before it */
	uint64_t gap_nsec; /* after this time, of the CPU's last message before them */
	uint64_t
		overrun_nsec; /* messages of all CPUs are missing before it: when that was noticed; 0: none */
	uint64_t read_nsec;
	struct proc_question *question; /* NULL: no question was asked, or asking failed */
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
	/* When overruns were noticed that no message came after yet: the first and the last one. 0: none. */
	uint64_t first_nsec, last_nsec;
};

/* connector_drops_take() - how many dropped messages are not reported yet; they count as reported from now on */
uint64_t connector_drops_take(struct connector_drops *drops);
/* connector_drops_take_gaps() - the same for what the gaps alone show: the socket may have counted a later loss already */
uint64_t connector_drops_take_gaps(struct connector_drops *drops);

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
	uint16_t *forks;		    /* owned; of processes in the queue, by a hash of their pid */
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

/* connector_queue_drop() - remove the first one */
void connector_queue_drop(struct connector_queue *queue);

/* connector_queue_may_fork() - may the fork of a process with this pid be in the queue? If not, it is not. */
bool connector_queue_may_fork(const struct connector_queue *queue, uint32_t pid);
