// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "serve/stream-internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/msg.h"

#define BACKLOG	      1024
#define ACCEPT_SLICE  64 /* connections taken in one turn of the loop */
#define TICKS_A_BEAT  4	 /* how often silence is looked for in one interval of heartbeats */
#define TICK_MIN_USEC (50 * USEC_PER_MSEC)

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
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (!text || asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

/* A peer that is turned away hears why, if its socket takes the line at once. */
static void turn_away(int fd, const char *detail)
{
	_cleanup_free_ char *line = stream_error("tooManyConnections", NULL, detail);

	if (line)
		(void)!send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void admit(struct stream *stream, int fd)
{
	struct peer peer;
	int r;

	r = peer_from_socket(&peer, fd, stream->options.group);
	if (r < 0) {
		close(fd);
		return;
	}
	r = quota_take(stream->quota, peer.uid);
	if (r == QUOTA_E_USER)
		turn_away(fd, "this user has as many connections as one user may have");
	else if (r != 0)
		turn_away(fd, "the broker has as many connections as it may have");
	else
		connection_new(stream, fd, &peer);
}

static void on_acceptable(evutil_socket_t listener, short what, void *userdata)
{
	struct stream *stream = userdata;
	struct timeval second = { .tv_sec = 1 };

	(void)what;
	for (unsigned int n = 0; n < ACCEPT_SLICE; n++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			admit(stream, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* The connection stays in the backlog: asking again at once would only burn the
			 * processor. */
			msg_warning("cannot take a connection: %m; trying again in a second");
			event_del(stream->acceptable);
			event_add(stream->pause, &second);
			return;
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void on_pause_over(evutil_socket_t fd, short what, void *userdata)
{
	struct stream *stream = userdata;

	(void)fd, (void)what;
	event_add(stream->acceptable, NULL);
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	struct stream *stream = userdata;
	struct connection *connection, *next;
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	(void)fd, (void)what;
	for (connection = LIST_FIRST(&stream->connections); connection; connection = next) {
		next = LIST_NEXT(connection, link);
		connection_tick(connection, now);
	}
}

static int listen_at(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Everyone may connect; what one sees is decided by who one is. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return steal_fd(&fd);
}

static void arm_tick(struct stream *stream)
{
	uint64_t usec = stream->options.heartbeat_usec / TICKS_A_BEAT;
	struct timeval every;

	if (usec < TICK_MIN_USEC)
		usec = TICK_MIN_USEC;
	every = (struct timeval){ (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };
	event_add(stream->tick, &every);
}

int stream_new(struct stream **ret, const char *path, struct bus *bus, struct event_base *base,
	       struct quota *quota, const struct stream_options *options, char *(*status)(void *userdata),
	       void *userdata)
{
	_cleanup_(stream_free_p) struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->bus = bus;
	stream->base = base;
	stream->quota = quota;
	stream->options = *options;
	stream->status = status;
	stream->userdata = userdata;
	LIST_INIT(&stream->connections);
	stream->fd = listen_at(path);
	if (stream->fd < 0)
		return stream->fd;
	stream->path = strdup(path);
	stream->acceptable = event_new(base, stream->fd, EV_READ | EV_PERSIST, on_acceptable, stream);
	stream->pause = event_new(base, -1, 0, on_pause_over, stream);
	stream->tick = event_new(base, -1, EV_PERSIST, on_tick, stream);
	if (!stream->path || !stream->acceptable || !stream->pause || !stream->tick)
		return -ENOMEM;
	event_add(stream->acceptable, NULL);
	arm_tick(stream);
	*ret = steal(stream);
	return 0;
}

struct stream *stream_free(struct stream *stream)
{
	if (!stream)
		return NULL;
	while (!LIST_EMPTY(&stream->connections))
		connection_free(LIST_FIRST(&stream->connections));
	if (stream->acceptable)
		event_free(stream->acceptable);
	if (stream->pause)
		event_free(stream->pause);
	if (stream->tick)
		event_free(stream->tick);
	if (stream->path)
		unlink(stream->path);
	close_fd(stream->fd);
	free(stream->path);
	free(stream);
	return NULL;
}

void stream_set(struct stream *stream, const struct stream_options *options)
{
	stream->options = *options;
	arm_tick(stream);
}

const struct stream_stats *stream_stats(const struct stream *stream)
{
	return &stream->stats;
}
