/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The stream face: a Unix socket on which a subscriber writes one line, its request, and reads JSON lines
 * until it has enough. For nc, socat, jq, and every language that can open a socket.
 */

#include <event2/event.h>

#include "core/budget.h"
#include "core/hub.h"
#include "serve/face.h"

struct stream;

/*
 * stream_new() - listen on @path
 * @status: answers the query "status": a JSON text on one line, to be freed by the caller, or NULL
 */
int stream_new(struct stream **ret, const char *path, struct hub *hub, struct event_base *base,
	       struct budget *budget, const struct face_options *options, char *(*status)(void *userdata),
	       void *userdata);
/* Closes all connections. NULL is fine. Return: NULL. */
struct stream *stream_free(struct stream *stream);

/* New options, for requests and heartbeats from now on. */
void stream_set(struct stream *stream, const struct face_options *options);

const struct face_stats *stream_stats(const struct stream *stream);
