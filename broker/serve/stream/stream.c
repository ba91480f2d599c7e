// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "serve/stream/internal.h"

DEFINE_CLEANUP(struct stream, stream_free)

char *stream_error(const char *error, const char *key, const char *detail)
{
	json_t *object = json_pack("{s:s}", "error", error);
	char *text, *line;

	if (!object)
		return NULL;
	/* Without a key that was cut amid a character, if need be. */
	if (key && key[0] != '\0')
		json_object_set_new(object, "key", json_string(key));
	json_object_set_new(object, "detail", json_string(detail));
	text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(object);
	if (!text || asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

static void on_accept(void *userdata, int fd, const struct peer *peer)
{
	connection_new(userdata, fd, peer);
}

/* A peer that is turned away hears why, if its socket takes the line at once. */
static void on_refuse(void *userdata, int fd, int reason)
{
	_cleanup_free_ char *line = stream_error(
		"tooManyConnections", NULL,
		reason == BUDGET_E_USER ? "this user has as many connections as one user may have"
					: "the broker has as many connections as it may have");

	(void)userdata;
	if (line)
		(void)!send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_tick(void *userdata, uint64_t now_usec)
{
	struct stream *stream = userdata;
	struct connection *connection, *next;

	for (connection = LIST_FIRST(&stream->connections); connection; connection = next) {
		next = LIST_NEXT(connection, link);
		connection_tick(connection, now_usec);
	}
}

static const struct listener_ops listener_ops = {
	.accept = on_accept,
	.refuse = on_refuse,
	.tick = on_tick,
};

int stream_new(struct stream **ret, const char *path, struct hub *hub, struct event_base *base,
	       struct budget *budget, const struct face_options *options, char *(*status)(void *userdata),
	       void *userdata)
{
	_cleanup_(stream_free_p) struct stream *stream = calloc(1, sizeof(*stream));
	_cleanup_close_ int fd = -1;
	int r;

	if (!stream)
		return -ENOMEM;
	stream->hub = hub;
	stream->base = base;
	stream->budget = budget;
	stream->options = *options;
	stream->status = status;
	stream->userdata = userdata;
	LIST_INIT(&stream->connections);
	r = outboxes_new(&stream->outboxes, base, hub, &stream->options, &stream_outbox_ops);
	if (r < 0)
		return r;
	fd = listener_open(path);
	if (fd < 0)
		return fd;
	r = listener_new(&stream->listener, fd, base, budget, options, &listener_ops, stream);
	if (r < 0)
		return r;
	fd = -1;
	stream->path = strdup(path);
	if (!stream->path)
		return -ENOMEM;
	*ret = steal(stream);
	return 0;
}

struct stream *stream_free(struct stream *stream)
{
	if (!stream)
		return NULL;
	/* The last words: why the broker ends. */
	if (stream->outboxes)
		outboxes_run(stream->outboxes);
	while (!LIST_EMPTY(&stream->connections))
		connection_free(LIST_FIRST(&stream->connections));
	listener_free(stream->listener);
	outboxes_free(stream->outboxes);
	if (stream->path)
		unlink(stream->path);
	free(stream->path);
	free(stream);
	return NULL;
}

void stream_set(struct stream *stream, const struct face_options *options)
{
	stream->options = *options;
	listener_set(stream->listener, options);
}

const struct face_stats *stream_stats(const struct stream *stream)
{
	return &stream->stats;
}
