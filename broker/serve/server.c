// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/server.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/message.h"

struct server {
	struct face face;
	const struct server_ops *ops;
	struct connections connections;
	struct listener *listener;
	char *path; /* NULL: the socket belongs to who opened it */
};

static void server_done(struct server *server)
{
	connections_done(&server->connections);
	listener_free(server->listener);
	if (server->path)
		unlink(server->path);
	free(server->path);
	free(server);
}

DEFINE_CLEANUP(struct server, server_done)

static void on_accept(void *userdata, int fd, const struct peer *peer)
{
	struct server *server = userdata;

	connection_new(&server->connections, fd, peer);
}

/* If the socket takes the message at once. */
static void on_refuse(void *userdata, int fd, int reason)
{
	struct server *server = userdata;
	size_t size = 0;
	_cleanup_free_ char *message = server->ops->refusal(reason, &size);

	if (message)
		(void)!send(fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_tick(void *userdata, uint64_t now_usec)
{
	struct server *server = userdata;

	connections_tick(&server->connections, now_usec);
}

static const struct listener_ops listener_ops = {
	.accept = on_accept,
	.refuse = on_refuse,
	.tick = on_tick,
};

/* @path: NULL where @fd listens already, which is taken on success. */
static int listen_on(struct server *server, const char *path, int fd)
{
	const struct face_context *context = &server->connections.context;
	_cleanup_close_ int opened = -1;
	int r;

	if (path) {
		opened = fd = listener_open(path);
		if (fd < 0)
			return fd;
		server->path = strdup(path);
		if (!server->path)
			return -ENOMEM;
	}
	if (server->ops->listening)
		server->ops->listening(fd, path);
	r = listener_new(&server->listener, fd, context->base, context->budget, &context->options,
			 &listener_ops, server);
	if (r == 0)
		opened = -1;
	return r;
}

int server_new(struct face **ret, const struct server_ops *ops, const char *name, int fd,
	       const struct face_context *context)
{
	_cleanup_(server_done_p) struct server *server = calloc(1, sizeof(*server));
	char path[PATH_MAX];
	int r;

	if (!server)
		return -ENOMEM;
	server->face.ops = ops->face;
	server->ops = ops;
	r = connections_init(&server->connections, ops->connection, context);
	if (r < 0)
		return r;
	r = snprintf(path, sizeof(path), "%s/%s", context->directory, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
	if (r == 0)
		r = listen_on(server, fd < 0 ? path : NULL, fd);
	if (r < 0) {
		errno = -r;
		msg_err("cannot listen at %s: %m", path);
		return r;
	}
	*ret = &server->face;
	server = NULL;
	return 0;
}

struct face *server_free(struct face *face)
{
	server_done((struct server *)face);
	return NULL;
}

void server_set_options(struct face *face, const struct face_options *options)
{
	struct server *server = (struct server *)face;

	server->connections.context.options = *options;
	listener_set(server->listener, options);
}

const struct face_stats *server_stats(const struct face *face)
{
	return &((const struct server *)face)->connections.stats;
}
