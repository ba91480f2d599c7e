/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the stream face share:
 *
 *   stream.c             the listening socket, and all connections
 *   connection.c  one of them: its request, and its end
 *   send.c        what it sends
 */

#include <sys/queue.h>

#include "core/cursor.h"
#include "core/peer.h"
#include "serve/listener.h"
#include "serve/outbox.h"
#include "serve/stream/stream.h"

struct connection;

struct stream {
	struct hub *hub;
	struct event_base *base;
	struct budget *budget;
	struct face_options options;
	struct face_stats stats;
	char *(*status)(void *userdata);
	void *userdata;

	char *path;
	struct listener *listener;
	LIST_HEAD(, connection) connections;
	struct outboxes *outboxes;
};

struct connection {
	struct stream *stream;
	int fd;
	struct peer peer;
	struct event *readable, *writable;
	struct event *deadline; /* for the request, or for taking the last line */
	LIST_ENTRY(connection) link;

	char *request; /* as far as it has come; NULL once it was taken */
	size_t request_size, request_room;

	struct cursor cursor; /* once the request was taken */
	bool subscribed;
	char *last; /* a line after which the connection is closed */
	size_t last_at, last_end;
	uint64_t sent_usec; /* CLOCK_MONOTONIC of the last byte that went out */

	struct outbox outbox;
};

extern const struct outbox_ops stream_outbox_ops;

/* connection_new() - take over a socket whose peer has its place in the budget; both are given back where it
 * fails, too */
void connection_new(struct stream *stream, int fd, const struct peer *peer);
void connection_free(struct connection *connection);

/* Silence since the interval of heartbeats: send one, unless something else is on its way. */
void connection_tick(struct connection *connection, uint64_t now_usec);

/*
 * stream_error() - {"error":…,"key":…,"detail":…} and a newline
 * @key: may be NULL. Return: a string to free(), or NULL without memory.
 */
char *stream_error(const char *error, const char *key, const char *detail);
