// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The Varlink face: proto/org.forkbus1.varlink on a Unix socket. It follows the protocol strictly (UAPI.20), so that every
 * Varlink library and tool can be a client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/message.h"
#include "core/slice.h"
#include "serve/server.h"
#include "serve/varlink/link.h"
#include "serve/varlink/message.h"

/* Calls */

/* Return: whether there was a complete call. */
static bool take_call(struct link *link)
{
	struct connection *connection = &link->connection;
	char *end = connection->input_size ? memchr(connection->input, '\0', connection->input_size) : NULL;
	struct varlink_call call;
	int r;

	if (!end)
		return false;
	r = varlink_call_parse(&call, connection->input, (size_t)(end - connection->input));
	connection->input_size -= (size_t)(end + 1 - connection->input);
	memmove(connection->input, end + 1, connection->input_size);
	if (r != 0) {
		msg_debug("uid %u, pid %d: malformed call", connection->peer.uid, connection->peer.pid);
		link->broken = true;
		return false;
	}
	link->oneway = call.oneway;
	/* The next call, if a part of it has arrived, has its own deadline. */
	event_del(connection->deadline);
	varlink_dispatch(link, &call);
	varlink_call_done(&call);
	return true;
}

/* Between calls: if a part of the next one has arrived, it has to be complete in time. */
static void watch_input(struct link *link)
{
	struct connection *connection = &link->connection;

	if (connection->input_size > connection->all->context.options.request_max ||
	    connection->input_ended) {
		link->broken = true;
		return;
	}
	if (connection->input_size == 0)
		event_del(connection->deadline);
	else if (!event_pending(connection->deadline, EV_TIMEOUT, NULL))
		connection_start_deadline(connection);
}

/* The calls that wait for the current one to end are limited. */
static void watch_socket(struct connection *connection)
{
	connection_watch(connection,
			 !connection->input_ended &&
				 connection->input_size <= connection->all->context.options.request_max);
}

/* Return: whether there is more to do at once. */
static bool step(struct link *link, struct slice *slice)
{
	struct connection *connection = &link->connection;

	if (!link_flush(link)) {
		connection_wait(connection, true);
		return false;
	}
	if (link->state != LINK_IDLE) {
		outbox_due(&connection->outbox);
		return false;
	}
	/* The others first. */
	if (slice_is_over(slice, SLICE_DEAR)) {
		connection_wait(connection, false);
		return false;
	}
	if (take_call(link))
		return true;
	if (!link->broken)
		watch_input(link);
	return false;
}

/* Do everything that is possible now: send, continue a reply, process calls. May free the connection. */
static void run(struct link *link)
{
	struct slice slice = slice_begin(SLICE_NSEC);

	/* A connection that waits for its socket continues when it can be written to. */
	while (!link->broken && !connection_waits(&link->connection) && step(link, &slice))
		;
	if (link->broken)
		connection_free(&link->connection);
	else
		watch_socket(&link->connection);
}

/* The connection */

static void on_begin(struct connection *connection)
{
	link_of(connection)->out_fd = -1;
	(void)fsetxattr(connection->fd, "user.varlink", "server", strlen("server"), 0);
}

static void on_end(struct connection *connection)
{
	struct link *link = link_of(connection);

	close_fd(link->out_fd);
	link_drop_out(link);
}

static void on_received(struct connection *connection, const char *data, size_t size)
{
	(void)data, (void)size;
	run(link_of(connection));
}

static void on_writable(struct connection *connection)
{
	run(link_of(connection));
}

static int on_heartbeat(struct connection *connection)
{
	int r = link_heartbeat(link_of(connection));

	if (r == 0)
		run(link_of(connection));
	return r;
}

static const struct connection_ops connection_ops = {
	.size = sizeof(struct link),
	.begin = on_begin,
	.end = on_end,
	.received = on_received,
	.too_long = connection_free,
	.timeout = connection_free,
	.writable = on_writable,
	.heartbeat = on_heartbeat,
	.piece = link_piece,
	.sent = link_sent,
};

/* The face */

/* The answer to any call. */
static char *make_refusal(int reason, const char *detail, size_t *size)
{
	(void)detail;
	json_t *parameters = json_pack("{s:s}", "limit", reason == BUDGET_E_USER ? "user" : "broker");

	return parameters ? varlink_reply("org.forkbus1.TooManySubscriptions", parameters, size) : NULL;
}

static void on_listening(int fd, const char *path)
{
	/* For tools that search for Varlink services; kernels before 7.0 refuse it. */
	(void)fsetxattr(fd, "user.varlink", "listen", strlen("listen"), 0);
	if (path)
		(void)lsetxattr(path, "user.varlink", "entrypoint", strlen("entrypoint"), 0);
}

static int varlink_new(struct face **ret, const struct face_context *context)
{
	static const struct server_ops ops = {
		.face = &varlink_face,
		.connection = &connection_ops,
		.refusal = make_refusal,
		.listening = on_listening,
	};
	_cleanup_close_ int fd =
		context->take_socket ? context->take_socket(context->userdata, "varlink") : -1;
	int r = server_new(ret, &ops, "org.forkbus1", fd, context);

	if (r == 0)
		fd = -1;
	return r;
}

const struct face_ops varlink_face = {
	.name = "varlink",
	.new = varlink_new,
	.free = server_free,
	.set_options = server_set_options,
	.stats = server_stats,
};
