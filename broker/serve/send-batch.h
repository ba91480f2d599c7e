/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sends for all connections of a face together.
 *
 * An event goes to many sockets at once, and a system call for each is most of the cost. So each connection has an outbox.
 * At the end of a turn of the loop all outboxes that are not empty send, one piece each at a time, until they are empty or
 * their sockets are full. If the kernel has io_uring, and neither an administrator nor a sandbox forbids it, one system call
 * sends the pieces of all of them; otherwise there is a system call for each piece.
 *
 * One turn sends for a few milliseconds at most, and goes on in a later one, after sources. The users take turns: one piece of
 * each, so that many connections of one user do not delay the others. Making the pieces is counted as processor time of the
 * user; who has used more than the share comes after the others.
 *
 * If this takes long because there are many, the next turn waits for more events, so that sending takes no more than a tenth
 * of the time; it waits at most for face_options.coalesce_usec.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "serve/face.h"

struct hub;
struct event_base;
struct outbox;
struct outboxes;
struct send_batch;
struct sender;

/* The number of sends at once, and of parts of each. */
#define SENDS_MAX   64
#define SENDS_PARTS 3

struct send_op {
	int fd;
	unsigned int n_parts;
	struct iovec parts[SENDS_PARTS];
	size_t size;	       /* of all parts */
	ssize_t result;	       /* of the send: a number of bytes, or a negative errno */
	struct msghdr message; /* for send_batch_run() */
};

static inline void send_op_add(struct send_op *op, const void *data, size_t size)
{
	op->parts[op->n_parts++] = (struct iovec){ (void *)(uintptr_t)data, size };
	op->size += size;
}

struct outbox_ops {
	/*
	 * piece() - add the next bytes to @op
	 * From a cursor at most one peek. The bytes are valid until views_kept() pieces have been made and sent.
	 * Return: 0, with nothing added if there is nothing now; -EAGAIN if there may be something in the loop's next turn;
	 * another negative errno: close it.
	 */
	int (*piece)(struct outbox *outbox, struct send_op *op);
	/* sent() - this many bytes were sent, may be 0. Return: 0; a negative errno: close it. */
	int (*sent)(struct outbox *outbox, const struct send_op *op, size_t n);
	/* wait() - wait, and be due again when the socket can be written to. @full: it cannot now. */
	void (*wait)(struct outbox *outbox, bool full);
	/* close() - free the connection that it belongs to */
	void (*close)(struct outbox *outbox);
};

/* Embedded in a connection. */
struct outbox {
	struct outboxes *outboxes;
	int fd;
	struct sender *sender; /* the user */
	bool due;
	size_t turn_size; /* bytes that were sent since it became due */
	TAILQ_ENTRY(outbox) link;
};

/* @options: read each time */
int outboxes_new(struct outboxes **ret, struct event_base *base, const struct hub *hub,
		 const struct face_options *options, const struct outbox_ops *ops);
/* All outboxes must be closed. NULL is fine. Return: NULL. */
struct outboxes *outboxes_free(struct outboxes *outboxes);

/* outboxes_run() - send now for all that are due. Some may be closed. */
void outboxes_run(struct outboxes *outboxes);

/* outbox_init() - of a connection with this socket. @account: of its user. Return: 0 or -ENOMEM. */
int outbox_init(struct outbox *outbox, struct outboxes *outboxes, int fd, struct budget_account *account);
/* outbox_done() - it has nothing to send any more. A zeroed one is allowed. */
void outbox_done(struct outbox *outbox);

/* outbox_due() - it may have something to send in this turn of the loop */
void outbox_due(struct outbox *outbox);
/* outbox_wake() - there is something new for it, which may be delayed to be sent with more */
void outbox_wake(struct outbox *outbox);
/* The system calls alone: what the outboxes use. */

/* send_batch_new() - for the calling thread alone. Return: 0 or -ENOMEM. */
int send_batch_new(struct send_batch **ret);
/* The same without io_uring, for tests. */
int send_batch_new_plain(struct send_batch **ret);
/* NULL is fine. Return: NULL. */
struct send_batch *send_batch_free(struct send_batch *batch);

/*
 * send_batch_run() - send @n of @ops, at most SENDS_MAX, without waiting for any socket, and set their results
 * Each like sendmsg(2) with MSG_DONTWAIT and MSG_NOSIGNAL; in no particular order, so each must have another socket.
 */
void send_batch_run(struct send_batch *batch, struct send_op *ops, unsigned int n);
