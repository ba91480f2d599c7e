/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Varlink face: proto/org.forkbus1.varlink on a Unix socket, by the letter of the protocol (UAPI.20), so that every
 * Varlink library and tool is a client.
 */

#include <event2/event.h>

#include "core/budget.h"
#include "core/hub.h"
#include "serve/face.h"

struct varlink;

/*
 * varlink_new() - serve on a socket
 * @path: where to listen; or NULL, and @fd is a socket that listens already, which is taken on success
 * @status: the parameters of GetStatus's reply, as a JSON text, to be freed by the caller, or NULL
 */
int varlink_new(struct varlink **ret, const char *path, int fd, struct hub *hub, struct event_base *base,
		struct budget *budget, const struct face_options *options, char *(*status)(void *userdata),
		void *userdata);
/* Closes all connections. NULL is fine. Return: NULL. */
struct varlink *varlink_free(struct varlink *varlink);

/* New options, for requests and silence from now on. */
void varlink_set(struct varlink *varlink, const struct face_options *options);

const struct face_stats *varlink_stats(const struct varlink *varlink);
