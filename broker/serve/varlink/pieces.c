// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/varlink/pieces.h"

#include <errno.h>
#include <string.h>

#include "serve/varlink/reply.h"

/* Events of about so many bytes make one reply; one event may be longer. */
#define BATCH 32768

#define EVENTS_BEGIN "{\"parameters\":{\"events\":["
#define LIST_BEGIN   "{\"parameters\":{\"processes\":["
#define CURSOR	     "],\"cursor\":\"%s\"}"
/* Between one event and the next, and behind the last, where it is left out (encoding_members). */
#define SEPARATOR    ",\n"

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

/* How much of the lines that are there goes into one reply: whole ones. */
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

/* The end of a reply, in the link. Return: its bytes, its NUL included. */
static size_t make_end(struct link *link, const char *position)
{
	const char *continues = link->state == LINK_EVENTS ? ",\"continues\":true" : "";

	return (size_t)snprintf(link->end, sizeof(link->end), CURSOR "%s}", position, continues) + 1;
}

/* A list is one message in pieces: a snapshot, up to where the events would begin. */
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

	/* It comes back when what waits for its socket is out, or a call begins another answer. */
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

	if (n < op->size && link_keep(link, op->parts, op->n_parts, n) < 0)
		return -ENOMEM;
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

	if (!cursor_is_idle(&link->connection.cursor))
		return 0;
	parts[1].iov_len = make_end(link, cursor_position(&link->connection.cursor, text));
	return link_send(link, parts, 2);
}
