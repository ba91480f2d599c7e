// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/varlink/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "serve/varlink/message.h"

/* The approximate size of the events in one reply; one event may be longer. */
#define BATCH 32768

#define EVENTS_BEGIN "{\"parameters\":{\"events\":["
#define LIST_BEGIN   "{\"parameters\":{\"processes\":["
#define CURSOR	     "],\"cursor\":\"%s\"}"
/* Between two events, and after the last one, where it is removed (encoding_members). */
#define SEPARATOR    ",\n"

/* Sending */

/* With a descriptor, if one is to be sent with the first byte. Return: bytes, 0 if none can be sent now, -1 on failure. */
static ssize_t send_some(struct link *link, const struct iovec *parts, size_t n_parts)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = n_parts };
	ssize_t n;

	if (link->out_fd >= 0) {
		message.msg_control = control.room;
		message.msg_controllen = sizeof(control.room);
		control.header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &link->out_fd, sizeof(int));
	}
	n = sendmsg(link->connection.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM ? 0 : -1;
	link->out_fd = close_fd(link->out_fd);
	connection_count_sent(&link->connection, (size_t)n);
	return n;
}

/* Keep the rest of an answer, of which @sent bytes were sent. Return: 0, -ENOMEM or -EDQUOT. */
static int keep(struct link *link, const struct iovec *parts, size_t n_parts, size_t sent)
{
	size_t size = 0;

	for (size_t i = 0; i < n_parts; i++)
		size += parts[i].iov_len;
	if (size == sent)
		return 0;
	if (budget_take(link->connection.account, BUDGET_CACHED_BYTES, size - sent) != 0)
		return -EDQUOT;
	link->out_kept = size - sent;
	link->out = malloc(size - sent);
	if (!link->out)
		return -ENOMEM;
	link->out_at = link->out_end = 0;
	for (size_t i = 0; i < n_parts; i++) {
		size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;

		memcpy(link->out + link->out_end, (const char *)parts[i].iov_base + skip,
		       parts[i].iov_len - skip);
		link->out_end += parts[i].iov_len - skip;
		sent -= skip;
	}
	return 0;
}

void link_drop_out(struct link *link)
{
	budget_give(link->connection.account, BUDGET_CACHED_BYTES, link->out_kept);
	link->out_kept = 0;
	free(link->out);
	link->out = NULL;
}

bool link_flush(struct link *link)
{
	struct iovec rest;
	ssize_t n;

	if (!link->out)
		return true;
	rest = (struct iovec){ link->out + link->out_at, link->out_end - link->out_at };
	n = send_some(link, &rest, 1);
	if (n < 0) {
		link->broken = true;
		return false;
	}
	link->out_at += (size_t)n;
	if (link->out_at < link->out_end)
		return false;
	link_drop_out(link);
	return true;
}

/* Replies to one call */

static void set_out(struct link *link, char *message, size_t size)
{
	if (!message) {
		link->broken = true;
		return;
	}
	if (link->oneway) {
		free(message);
		return;
	}
	link->out = message;
	link->out_at = 0;
	link->out_end = size;
}

void link_fail(struct link *link, const char *error)
{
	size_t size = 0;
	char *message = varlink_reply(error, NULL, &size);

	set_out(link, message, size);
}

static void reply_with(struct link *link, const char *error, json_t *parameters)
{
	size_t size = 0;
	char *message = parameters ? varlink_reply(error, parameters, &size) : NULL;

	set_out(link, message, size);
}

void link_fail_with(struct link *link, const char *error, json_t *parameters)
{
	reply_with(link, error, parameters);
}

void link_reply(struct link *link, json_t *parameters)
{
	reply_with(link, NULL, parameters);
}

void link_reply_text(struct link *link, char *parameters)
{
	char *message = NULL;
	int size = parameters ? asprintf(&message, "{\"parameters\":%s}", parameters) : -1;

	free(parameters);
	set_out(link, size < 0 ? NULL : message, (size_t)size + 1);
}

/*
 * Replies that are made in pieces from a cursor: events, where each piece is a reply, and lists of processes, which are one
 * reply
 */

int link_begin(struct link *link, enum link_state state, struct request *request, struct filter_error *error)
{
	struct connection *connection = &link->connection;
	int r = state == LINK_EVENTS ? connection_subscribe(connection, request, &encoding_members, error)
				     : connection_list(connection, request, &encoding_members, error);

	if (r != 0)
		return r;
	link->state = state;
	link->list_begun = false;
	return 0;
}

void link_end(struct link *link)
{
	connection_unsubscribe(&link->connection);
	link->state = LINK_IDLE;
}

/* How many bytes of the available lines go into one reply: complete lines. */
static size_t take_lines(const char *lines, size_t size)
{
	const char *end;

	if (size <= BATCH)
		return size;
	end = memrchr(lines, '\n', BATCH);
	if (!end)
		end = memchr(lines, '\n', size);
	return (size_t)(end + 1 - lines);
}

/* Make the end of a reply, in the link. Return: its size, including the NUL. */
static size_t make_end(struct link *link, const char *position)
{
	const char *continues = link->state == LINK_EVENTS ? ",\"continues\":true" : "";

	return (size_t)snprintf(link->end, sizeof(link->end), CURSOR "%s}", position, continues) + 1;
}

/* A list is one message in pieces: a snapshot, until the position where the events would begin. */
static bool list_is_complete(const struct link *link)
{
	return link->state == LINK_LIST && link->connection.cursor.phase == CURSOR_READY &&
	       !link->connection.cursor.own;
}

static const char *begin_of(const struct link *link)
{
	if (link->state == LINK_EVENTS)
		return EVENTS_BEGIN;
	return link->list_begun ? SEPARATOR : LIST_BEGIN;
}

static void add_list_end(struct link *link, struct send_op *op)
{
	const char *begin = link->list_begun ? "" : LIST_BEGIN;
	char text[CURSOR_TEXT_MAX];

	send_op_add(op, begin, strlen(begin));
	send_op_add(op, link->end, make_end(link, cursor_position(&link->connection.cursor, text)));
}

static void add_members(struct link *link, struct send_op *op, const char *lines, size_t size)
{
	const char *begin = begin_of(link);
	char text[CURSOR_TEXT_MAX];

	size = take_lines(lines, size);
	send_op_add(op, begin, strlen(begin));
	send_op_add(op, lines, size - strlen(SEPARATOR));
	if (link->state == LINK_EVENTS)
		send_op_add(op, link->end,
			    make_end(link, cursor_position_after(&link->connection.cursor, size, text)));
}

int link_piece(struct connection *connection, struct send_op *op)
{
	struct link *link = link_of(connection);
	const char *lines;
	ssize_t n;

	/* This is called again when the waiting bytes are sent, or when a call begins another answer. */
	if (link->out || link->state == LINK_IDLE)
		return 0;
	if (list_is_complete(link)) {
		add_list_end(link, op);
		return 0;
	}
	n = cursor_peek(&link->connection.cursor, &lines);
	if (n > 0)
		add_members(link, op, lines, (size_t)n);
	else if (n == 0 && link->state == LINK_LIST)
		return -EAGAIN;
	return n < 0 ? (int)n : 0;
}

int link_sent(struct connection *connection, const struct send_op *op, size_t n)
{
	struct link *link = link_of(connection);

	int r = n < op->size ? keep(link, op->parts, op->n_parts, n) : 0;

	if (r < 0)
		return r;
	if (list_is_complete(link)) {
		link_end(link);
		/* There may be another call. */
		connection_wait(connection, false);
		return 0;
	}
	link->list_begun = true;
	return cursor_sent(&link->connection.cursor, op->parts[1].iov_len + strlen(SEPARATOR));
}

int link_heartbeat(struct link *link)
{
	struct iovec parts[2] = { { (char *)(uintptr_t)EVENTS_BEGIN, strlen(EVENTS_BEGIN) },
				  { link->end, 0 } };
	char text[CURSOR_TEXT_MAX];
	ssize_t n;

	if (!cursor_is_idle(&link->connection.cursor))
		return 0;
	parts[1].iov_len = make_end(link, cursor_position(&link->connection.cursor, text));
	n = send_some(link, parts, 2);
	return n < 0 ? -EPIPE : keep(link, parts, 2, (size_t)n);
}
