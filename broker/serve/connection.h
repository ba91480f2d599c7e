/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection to a face on a Unix socket: its place in the budget, its input up to a maximum and a deadline, its cursor, and
 * what it sends. The protocol gives the bytes their meaning (struct connection_ops).
 */

#include <sys/queue.h>

#include "core/access.h"
#include "core/cursor.h"
#include "serve/face.h"
#include "serve/send-batch.h"

struct connection;

/* The protocol of a face. All but those that return something may free the connection. */
struct connection_ops {
	size_t size; /* of the struct that begins with a struct connection */

	/* A new connection, complete but for what is the protocol's own. */
	void (*begin)(struct connection *connection);
	/* Frees what is the protocol's own; NULL: there is nothing. */
	void (*end)(struct connection *connection);

	/* @size bytes came: the last ones of the input, where it is kept. 0: it has ended. */
	void (*received)(struct connection *connection, const char *data, size_t size);
	/* The input is as long as it may be. */
	void (*too_long)(struct connection *connection);
	/* The deadline is over. */
	void (*timeout)(struct connection *connection);
	/* The socket takes more, after outbox_ops.wait() or connection_wait(). */
	void (*writable)(struct connection *connection);

	/* A subscriber has got nothing for the interval of heartbeats. Return: 0; a negative errno: close. */
	int (*heartbeat)(struct connection *connection);
	/* As those of struct outbox_ops, with the bytes of all connections counted. */
	int (*piece)(struct connection *connection, struct send_op *op);
	int (*sent)(struct connection *connection, const struct send_op *op, size_t n);
};

/* All connections of a face. */
struct connections {
	const struct connection_ops *ops;
	struct face_context context;
	struct face_stats stats;
	struct outboxes *outboxes;
	LIST_HEAD(, connection) list;
};

struct connection {
	struct connections *all;
	int fd;
	struct peer peer;
	struct event *readable, *writable, *deadline;
	LIST_ENTRY(connection) link;

	char *input; /* that has come, and was not taken yet */
	size_t input_size, input_room;
	bool input_ended;
	bool input_dropped; /* later input is shown to received(), but not kept */

	struct cursor cursor; /* while there is one */
	bool has_cursor, subscribed;
	uint64_t sent_usec; /* CLOCK_MONOTONIC of the last byte that went out */

	/* A message after which the connection is closed; NULL: it stays open. */
	char *last;
	size_t last_at, last_end;

	struct outbox outbox;
};

/* connections_init() - @all: becomes empty, in this context. Return: 0 or -ENOMEM. */
int connections_init(struct connections *all, const struct connection_ops *ops,
		     const struct face_context *context);
/* connections_done() - send what can still be sent, and close all. A zeroed one is fine. */
void connections_done(struct connections *all);
/* connections_tick() - heartbeats for subscribers that have got nothing for long. @now_usec: CLOCK_MONOTONIC */
void connections_tick(struct connections *all, uint64_t now_usec);

/* connection_new() - take a socket whose peer has a place in the budget; both are given back where it fails, too */
void connection_new(struct connections *all, int fd, const struct peer *peer);
void connection_free(struct connection *connection);

/* connection_start_deadline() - the time for a request, or for a last message, begins */
void connection_start_deadline(struct connection *connection);
/* connection_take_input() - all of it, as a string to free(); what comes from now on is dropped */
char *connection_take_input(struct connection *connection);

/* connection_subscribe() - what is sent from now on comes from a cursor. Return: as cursor_init(). */
int connection_subscribe(struct connection *connection, struct request *request,
			 const struct encoding *encoding, struct filter_error *error);
/* The same for a part of the log that has an end: the connection does not count as a subscriber, and gets no heartbeats. */
int connection_list(struct connection *connection, struct request *request, const struct encoding *encoding,
		    struct filter_error *error);
/* connection_unsubscribe() - the end of either */
void connection_unsubscribe(struct connection *connection);

/* connection_wake() - there is something new to send, that may wait for more */
void connection_wake(struct connection *connection);
/* connection_wait() - be called back when the socket takes more. @full: it takes nothing now. */
void connection_wait(struct connection *connection, bool full);
/* connection_waits() - is the socket still to take more? */
bool connection_waits(const struct connection *connection);
/* connection_count_sent() - bytes went out beside the outbox */
void connection_count_sent(struct connection *connection, size_t n);

/* connection_close_after() - send @message, which is taken, after the current one, and close. NULL: close at once. */
void connection_close_after(struct connection *connection, char *message, size_t size);
