/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A face on a Unix socket: the socket, and all connections that it accepts. Stream and Varlink are such faces.
 *
 * The peer of each connection gets a place in the budget, or is refused. If descriptors run out, connections stay in the
 * backlog until descriptors are available again.
 */

#include "serve/connection.h"

struct server_ops {
	const struct face_ops *face;
	const struct connection_ops *connection;
	/* The message for a refused peer. @reason: BUDGET_E_USER or BUDGET_E_TOTAL. Return: to be freed, or NULL. */
	char *(*refusal)(int reason, const char *detail, size_t *size);
	/*
	 * Called when the socket listens, but accepts nothing yet; may be NULL. @path: NULL if another program opened the
	 * socket.
	 */
	void (*listening)(int fd, const char *path);
};

/*
 * server_new() - serve on a socket
 * @name: of the socket in the context's directory
 * @fd: a socket that listens already, which is taken on success; -1: open one
 * Return: as face_ops.new().
 */
int server_new(struct face **ret, const struct server_ops *ops, const char *name, int fd,
	       const struct face_context *context);

/* server_free(), server_set_options(), server_stats() - those of face_ops, for every such face */
struct face *server_free(struct face *face);
void server_set_options(struct face *face, const struct face_options *options);
const struct face_stats *server_stats(const struct face *face);
