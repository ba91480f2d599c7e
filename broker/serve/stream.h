/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The stream face: a Unix socket on which a subscriber writes one line, its request, and reads JSON lines
 * until it has enough. For nc, socat, jq, and every language that can open a socket.
 */

#include <event2/event.h>

#include "core/bus.h"
#include "core/quota.h"

struct stream;

struct stream_options {
	gid_t group;		 /* whose members see all; (gid_t)-1: none */
	size_t request_max;	 /* bytes of a request's line */
	uint64_t request_usec;	 /* time to send it */
	uint64_t heartbeat_usec; /* silence after which a heartbeat is sent */
};

struct stream_stats {
	unsigned int connections;
	unsigned int subscribers; /* connections whose request was taken */
	uint64_t sent_bytes;
};

/*
 * stream_new() - listen on @path
 * @status: answers the query "status": a JSON text on one line, to be freed by the caller, or NULL
 * A socket that is there already is replaced: who holds the log's lock is the only broker of its directory.
 */
int stream_new(struct stream **ret, const char *path, struct bus *bus, struct event_base *base,
	       struct quota *quota, const struct stream_options *options, char *(*status)(void *userdata),
	       void *userdata);
/* Closes all connections. NULL is fine. Return: NULL. */
struct stream *stream_free(struct stream *stream);

/* New options, for requests and heartbeats from now on. */
void stream_set(struct stream *stream, const struct stream_options *options);

const struct stream_stats *stream_stats(const struct stream *stream);
