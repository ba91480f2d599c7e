// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "serve/stream/internal.h"

#define READ_SIZE 4096

static struct timeval timeval_of(uint64_t usec)
{
	return (struct timeval){ (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };
}

void connection_free(struct connection *connection)
{
	struct stream *stream = connection->stream;

	LIST_REMOVE(connection, link);
	outbox_not_due(&connection->outbox);
	stream->stats.connections--;
	if (connection->subscribed)
		stream->stats.subscribers--;
	if (connection->readable)
		event_free(connection->readable);
	if (connection->writable)
		event_free(connection->writable);
	if (connection->deadline)
		event_free(connection->deadline);
	close(connection->fd);
	budget_give(stream->budget, connection->peer.uid);
	cursor_done(&connection->cursor);
	free(connection->request);
	free(connection->last);
	free(connection);
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;

	(void)fd, (void)what;
	outbox_due(&connection->outbox);
}

static void on_wake(struct cursor *cursor)
{
	struct connection *connection =
		(struct connection *)((char *)cursor - offsetof(struct connection, cursor));

	/* One that waits for its socket already will look by itself. */
	if (!event_pending(connection->writable, EV_WRITE, NULL))
		outbox_wake(&connection->outbox);
}

/* Say @line, at the end of the line that is on its way, and close. @line is taken; NULL: close without a
 * word. */
static void connection_end(struct connection *connection, char *line)
{
	struct timeval limit = timeval_of(connection->stream->options.request_usec);

	if (!line) {
		connection_free(connection);
		return;
	}
	connection->last = line;
	connection->last_at = 0;
	connection->last_end = strlen(line);
	event_del(connection->readable);
	event_add(connection->deadline, &limit);
	outbox_due(&connection->outbox);
}

static void connection_refuse(struct connection *connection, const char *error, const char *key,
			      const char *detail)
{
	msg_debug("uid %u, pid %d: %s: %s", connection->peer.uid, connection->peer.pid, error, detail);
	connection_end(connection, stream_error(error, key, detail));
}

static void answer_status(struct connection *connection)
{
	_cleanup_free_ char *text = connection->stream->status(connection->stream->userdata);
	char *line;

	if (!text || asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	connection_end(connection, line);
}

/* The line is complete: begin what it asks for. May free the connection. */
static void take_request(struct connection *connection, size_t len)
{
	_cleanup_free_ char *text = connection->request;
	struct stream *stream = connection->stream;
	struct filter_error error = { 0 };
	struct request request;
	int r;

	connection->request = NULL;
	event_del(connection->deadline);
	r = request_parse(&request, text, len, &error);
	if (r == 0 && request.query == REQUEST_STATUS) {
		request_done(&request);
		answer_status(connection);
		return;
	}
	if (r == 0) {
		r = cursor_init(&connection->cursor, stream->hub, &request, access_of(&connection->peer),
				&encoding_lines, on_wake, &error);
		request_done(&request);
	}
	if (r != 0) {
		if (r < 0)
			snprintf(error.detail, sizeof(error.detail), "the broker is out of memory");
		connection_refuse(connection, "invalidRequest", error.key, error.detail);
		return;
	}
	connection->subscribed = true;
	stream->stats.subscribers++;
	outbox_due(&connection->outbox);
}

/* Bytes after the request: white space is a person at a terminal, all else a misunderstanding. */
static bool is_blank(const char *data, size_t size)
{
	while (size > 0 && isspace((unsigned char)*data))
		data++, size--;
	return size == 0;
}

/* Return: room for more of the request, or NULL after the connection was ended. */
static char *request_room(struct connection *connection, size_t *room)
{
	size_t max = connection->stream->options.request_max + 1; /* with the newline */

	if (connection->request_size == connection->request_room) {
		size_t wanted = connection->request_room ? 2 * connection->request_room : READ_SIZE;
		char *grown = NULL;

		if (connection->request_room < max) {
			wanted = wanted < max ? wanted : max;
			grown = realloc(connection->request, wanted);
		}
		if (!grown) {
			connection_refuse(connection, "requestTooLong", NULL,
					  "the request's line is longer than the broker takes");
			return NULL;
		}
		connection->request = grown;
		connection->request_room = wanted;
	}
	*room = connection->request_room - connection->request_size;
	return connection->request + connection->request_size;
}

static void read_request(struct connection *connection)
{
	char *newline, *data;
	size_t room, len;
	ssize_t n;

	data = request_room(connection, &room);
	if (!data)
		return;
	n = recv(connection->fd, data, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && face_peer_is_gone(connection->fd))) {
		connection_free(connection);
		return;
	}
	newline = memchr(data, '\n', (size_t)n);
	connection->request_size += (size_t)n;
	if (!newline && n > 0)
		return;
	len = newline ? (size_t)(newline - connection->request) : connection->request_size;
	if (newline && !is_blank(newline, connection->request_size - len)) {
		connection_refuse(connection, "unexpectedInput", NULL,
				  "a connection has one request, on one line");
		return;
	}
	/* The end of input ends the request, not the subscription. */
	if (n == 0)
		event_del(connection->readable);
	take_request(connection, len);
}

static void read_rest(struct connection *connection)
{
	char data[READ_SIZE];
	ssize_t n = recv(connection->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && face_peer_is_gone(connection->fd)))
		connection_free(connection);
	else if (n == 0)
		event_del(connection->readable);
	else if (!is_blank(data, (size_t)n))
		connection_refuse(connection, "unexpectedInput", NULL,
				  "a connection has one request, on one line");
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;

	(void)fd, (void)what;
	if (connection->subscribed)
		read_rest(connection);
	else
		read_request(connection);
}

static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;

	(void)fd, (void)what;
	if (connection->last)
		connection_free(connection);
	else
		connection_refuse(connection, "requestTimeout", NULL, "the request did not come in time");
}

void connection_tick(struct connection *connection, uint64_t now_usec)
{
	if (!connection->subscribed || connection->last ||
	    now_usec - connection->sent_usec < connection->stream->options.heartbeat_usec)
		return;
	if (cursor_heartbeat(&connection->cursor) < 0)
		connection_free(connection);
	else
		on_wake(&connection->cursor);
}

void connection_new(struct stream *stream, int fd, const struct peer *peer)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct timeval limit = timeval_of(stream->options.request_usec);
	int size = FACE_SEND_BUFFER;

	if (!connection) {
		budget_give(stream->budget, peer->uid);
		close(fd);
		return;
	}
	connection->stream = stream;
	connection->fd = fd;
	connection->outbox = (struct outbox){ .outboxes = stream->outboxes, .fd = fd };
	connection->peer = *peer;
	LIST_INSERT_HEAD(&stream->connections, connection, link);
	stream->stats.connections++;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	connection->readable = event_new(stream->base, fd, EV_READ | EV_PERSIST, on_readable, connection);
	connection->writable = event_new(stream->base, fd, EV_WRITE, on_writable, connection);
	connection->deadline = event_new(stream->base, -1, 0, on_deadline, connection);
	if (!connection->readable || !connection->writable || !connection->deadline) {
		connection_free(connection);
		return;
	}
	event_add(connection->readable, NULL);
	event_add(connection->deadline, &limit);
}
