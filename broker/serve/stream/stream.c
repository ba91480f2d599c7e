// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The stream face: a Unix socket on which a subscriber writes one line, its request, and reads JSON lines until it has
 * enough. For nc, socat, jq, and every language that can open a socket.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/message.h"
#include "json-print.h"
#include "serve/server.h"

/*
 * error_line() - {"error":…,"key":…,"detail":…} and a newline
 * @key: may be NULL. Return: a string to free(), or NULL without memory.
 */
static char *error_line(const char *error, const char *key, const char *detail)
{
	struct json_builder builder = json_build(json_pack("{s:s}", "error", error));
	char *text, *line;
	json_t *object;

	if (key && key[0] != '\0')
		json_put(&builder, "key", json_string(key));
	json_put(&builder, "detail", json_string(detail));
	object = json_built(&builder);
	text = json_print(object, JSON_COMPACT | JSON_ENSURE_ASCII, NULL);
	json_decref(object);
	if (!text || asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

static void close_after(struct connection *connection, char *line)
{
	connection_close_after(connection, line, line ? strlen(line) : 0);
}

static void refuse(struct connection *connection, const char *error, const char *key, const char *detail)
{
	msg_debug("uid %u, pid %d: %s: %s", connection->peer.uid, connection->peer.pid, error, detail);
	close_after(connection, error_line(error, key, detail));
}

static void answer_status(struct connection *connection)
{
	const struct face_context *context = &connection->all->context;
	_cleanup_free_ char *text = context->status(context->userdata, access_of(&connection->peer).all);
	char *line;

	if (!text || asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	close_after(connection, line);
}

/* The line is complete: execute the request. May free the connection. */
static void take_request(struct connection *connection, size_t len)
{
	_cleanup_free_ char *text = connection_take_input(connection);
	struct filter_error error = { 0 };
	struct request request;
	int r;

	event_del(connection->deadline);
	r = request_parse(&request, text, len, &error);
	if (r == 0 && request.query == REQUEST_STATUS) {
		request_done(&request);
		answer_status(connection);
		return;
	}
	if (r == 0) {
		r = connection_subscribe(connection, &request, &encoding_lines, &error);
		request_done(&request);
	}
	if (r != 0) {
		if (r < 0)
			snprintf(error.detail, sizeof(error.detail), "the broker is out of memory");
		refuse(connection, "invalidRequest", error.key, error.detail);
		return;
	}
	outbox_due(&connection->outbox);
}

/* Bytes after the request: white space may come from a user at a terminal, everything else is an error. */
static bool is_blank(const char *data, size_t size)
{
	while (size > 0 && isspace((unsigned char)*data))
		data++, size--;
	return size == 0;
}

static void refuse_rest(struct connection *connection)
{
	refuse(connection, "unexpectedInput", NULL, "a connection has one request, on one line");
}

static void on_received(struct connection *connection, const char *data, size_t size)
{
	const char *newline = memchr(data, '\n', size);
	size_t len = connection->input_size;

	if (connection->subscribed) {
		if (!is_blank(data, size))
			refuse_rest(connection);
		return;
	}
	if (newline) {
		len = (size_t)(newline - connection->input);
		if (!is_blank(newline, connection->input_size - len)) {
			refuse_rest(connection);
			return;
		}
	}
	/* The end of input ends the request, not the subscription. */
	if (newline || connection->input_ended)
		take_request(connection, len);
}

static void on_too_long(struct connection *connection)
{
	char detail[BUDGET_TEXT_MAX];

	if (connection->over)
		refuse(connection, "invalidRequest", budget_name(BUDGET_CACHED_BYTES),
		       budget_refusal(detail, connection->account, BUDGET_CACHED_BYTES, connection->over));
	else
		refuse(connection, "requestTooLong", NULL,
		       "the request's line is longer than the broker takes");
}

static void on_timeout(struct connection *connection)
{
	refuse(connection, "requestTimeout", NULL, "the request did not come in time");
}

static void on_writable(struct connection *connection)
{
	outbox_due(&connection->outbox);
}

static int on_heartbeat(struct connection *connection)
{
	int r = cursor_heartbeat(&connection->cursor);

	if (r == 0)
		connection_wake(connection);
	return r;
}

static int on_piece(struct connection *connection, struct send_op *op)
{
	const char *data;
	ssize_t size = cursor_peek(&connection->cursor, &data);

	if (size > 0)
		send_op_add(op, data, (size_t)size);
	return size < 0 ? (int)size : 0;
}

static int on_sent(struct connection *connection, const struct send_op *op, size_t n)
{
	(void)op;
	return cursor_sent(&connection->cursor, n);
}

static const struct connection_ops connection_ops = {
	.size = sizeof(struct connection),
	.begin = connection_start_deadline,
	.received = on_received,
	.too_long = on_too_long,
	.timeout = on_timeout,
	.writable = on_writable,
	.heartbeat = on_heartbeat,
	.piece = on_piece,
	.sent = on_sent,
};

static char *make_refusal(int reason, const char *detail, size_t *size)
{
	char *line = error_line("tooManyConnections", NULL, detail);

	(void)reason;
	*size = line ? strlen(line) : 0;
	return line;
}

static int stream_new(struct face **ret, const struct face_context *context)
{
	static const struct server_ops ops = {
		.face = &stream_face,
		.connection = &connection_ops,
		.refusal = make_refusal,
	};

	return server_new(ret, &ops, "stream", -1, context);
}

const struct face_ops stream_face = {
	.name = "stream",
	.new = stream_new,
	.free = server_free,
	.set_options = server_set_options,
	.stats = server_stats,
};
