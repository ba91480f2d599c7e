/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection to a face on a Unix socket: its share of the budget, its input with a maximum length and a deadline, its
 * cursor, and its output. The protocol interprets the bytes (struct connection_ops).
 */

#include <sys/queue.h>

#include "core/access.h"
#include "core/cursor.h"
#include "serve/face.h"
#include "serve/late.h"
#include "serve/send-batch.h"

struct closer;
struct connection;

/* The protocol of a face. The functions without a return value may free the connection. */
struct connection_ops {
	size_t size; /* of the struct that begins with a struct connection */

	/* A new connection, complete except for the data of the protocol. */
	void (*begin)(struct connection *connection);
	/* Frees the data of the protocol; NULL: there are none. */
	void (*end)(struct connection *connection);

	/* @size bytes arrived: the last ones of the input, if it is kept. 0: the input has ended. */
	void (*received)(struct connection *connection, const char *data, size_t size);
	/* The input has reached its maximum length, or @over its share of memory. */
	void (*too_long)(struct connection *connection);
	/* The deadline has passed. */
	void (*timeout)(struct connection *connection);
	/* The socket can be written to again, after outbox_ops.wait() or connection_wait(). */
	void (*writable)(struct connection *connection);

	/* A subscriber has received nothing for the interval of heartbeats. Return: 0; a negative errno: close. */
	int (*heartbeat)(struct connection *connection);
	/* As in struct outbox_ops; the bytes of all connections are counted. */
	int (*piece)(struct connection *connection, struct send_op *op);
	int (*sent)(struct connection *connection, const struct send_op *op, size_t n);
};

/* All connections of a face. */
struct connections {
	const struct connection_ops *ops;
	struct face_context context;
	struct face_stats stats;
	struct outboxes *outboxes;
	struct closer *closer; /* NULL: not needed yet */
	struct late late;
	LIST_HEAD(, connection) list;
	struct connection *tick_next; /* NULL: the last tick is complete */
};

struct connection {
	struct connections *all;
	int fd;
	bool may_hold_rights; /* descriptors that the peer sent: see closer.h */
	struct peer peer;
	struct budget_account *account;
	struct event *readable, *writable, *deadline;
	LIST_ENTRY(connection) link;

	char *input; /* received and not processed yet */
	size_t input_size, input_room;
	int over; /* the reason of the budget why there was no memory for more input, or 0 */
	bool input_ended;
	bool input_dropped; /* later input is passed to received(), but not kept */

	struct cursor cursor; /* if there is one */
	bool has_cursor, subscribed;
	uint64_t sent_usec; /* CLOCK_MONOTONIC of the last byte that was sent */

	/* A message after which the connection is closed; NULL: it stays open. */
	char *last;
	size_t last_at, last_end;

	struct outbox outbox;
	struct late_entry late;
};

/* connections_init() - @all: becomes empty, in this context. Return: 0 or -ENOMEM. */
int connections_init(struct connections *all, const struct connection_ops *ops,
		     const struct face_context *context);
/* connections_done() - send as much as possible, and close all. A zeroed one is allowed. */
void connections_done(struct connections *all);
/* connections_close() - close the socket of a peer, now or soon */
void connections_close(struct connections *all, int fd);
/*
 * connections_tick() - heartbeats for subscribers that have received nothing for a while
 * @now_usec: CLOCK_MONOTONIC. Return: whether it was too much for one slice, and goes on with the next call.
 */
bool connections_tick(struct connections *all, uint64_t now_usec);

/*
 * connection_new() - take a socket, the reference of its peer's account, and the connection that was taken from it
 * On failure all of them are given back.
 */
void connection_new(struct connections *all, int fd, const struct peer *peer, struct budget_account *account);
void connection_free(struct connection *connection);

/* connection_start_deadline() - start the time limit for a request, or for a last message */
void connection_start_deadline(struct connection *connection);
/* connection_watch() - is input wanted now? At the beginning it is. */
void connection_watch(struct connection *connection, bool watch);
/* connection_take_input() - all input, as a string to free(); later input is dropped */
char *connection_take_input(struct connection *connection);

/* connection_subscribe() - send from a cursor from now on. Return: as cursor_init(). */
int connection_subscribe(struct connection *connection, struct request *request,
			 const struct encoding *encoding, struct filter_error *error);
/* The same for a part of the log that has an end: the connection does not count as a subscriber, and gets no heartbeats. */
int connection_list(struct connection *connection, struct request *request, const struct encoding *encoding,
		    struct filter_error *error);
/* connection_unsubscribe() - end either of them */
void connection_unsubscribe(struct connection *connection);

/* connection_wake() - there is something new to send, which may be delayed to be sent with more */
void connection_wake(struct connection *connection);
/* connection_wait() - request a call when the socket can be written to. @full: it cannot now. */
void connection_wait(struct connection *connection, bool full);
/* connection_waits() - does it still wait for the socket? */
bool connection_waits(const struct connection *connection);
/* connection_count_sent() - bytes were sent, but not from the outbox */
void connection_count_sent(struct connection *connection, size_t n);

/* connection_close_after() - send @message (takes it) after the current one, and close. NULL: close at once. */
void connection_close_after(struct connection *connection, char *message, size_t size);
