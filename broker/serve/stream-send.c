// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include "serve/stream-internal.h"
#include "util/clock.h"

static void become_due(struct connection *connection)
{
	connection->due = true;
	TAILQ_INSERT_TAIL(&connection->stream->due, connection, due_link);
}

void connection_send(struct connection *connection)
{
	struct stream *stream = connection->stream;

	if (connection->due)
		return;
	if (TAILQ_EMPTY(&stream->due))
		event_active(stream->turn, EV_TIMEOUT, 0);
	connection->turn_size = 0;
	become_due(connection);
}

void connection_send_not(struct connection *connection)
{
	if (connection->due)
		TAILQ_REMOVE(&connection->stream->due, connection, due_link);
	connection->due = false;
}

/* A last line may follow a whole line only. */
static bool is_at_last(const struct connection *connection)
{
	return connection->last && !connection->cursor.own;
}

/* What comes next. Return: as cursor_peek(). */
static ssize_t next_piece(struct connection *connection, const char **data)
{
	if (!is_at_last(connection))
		return cursor_peek(&connection->cursor, data);
	*data = connection->last + connection->last_at;
	return (ssize_t)(connection->last_end - connection->last_at);
}

/* @sent of it went out. Return: 0, or a negative errno where that was the end. */
static int piece_sent(struct connection *connection, size_t sent)
{
	if (sent == 0)
		return 0;
	connection->sent_usec = clock_usec(CLOCK_MONOTONIC);
	connection->turn_size += sent;
	connection->stream->stats.sent_bytes += sent;
	if (!is_at_last(connection))
		return cursor_sent(&connection->cursor, sent);
	connection->last_at += sent;
	return connection->last_at == connection->last_end ? -ESHUTDOWN : 0;
}

/* One that is not @full can be written to at once: it waits for the loop's next turn. */
static void wait_for_socket(struct connection *connection, bool full)
{
	if (full && connection->subscribed)
		cursor_block(&connection->cursor);
	event_add(connection->writable, NULL);
}

/* The send of a piece has ended. Return: 0, or a negative errno where there is nothing more to do for it. */
static int on_sent(struct connection *connection, const struct sends_op *op)
{
	ssize_t n = op->result;
	int r;

	if (n == -EAGAIN || n == -EINTR || n == -ENOBUFS || n == -ENOMEM)
		n = 0;
	r = n < 0 ? (int)n : piece_sent(connection, (size_t)n);
	if (r < 0)
		return r;
	if ((size_t)n < op->size)
		wait_for_socket(connection, true);
	else if (connection->turn_size >= FACE_SEND_SLICE)
		wait_for_socket(connection, false);
	else
		become_due(connection);
	return 0;
}

struct round {
	struct sends_op ops[SENDS_MAX];
	struct connection *of[SENDS_MAX]; /* whose they are */
	unsigned int n;
	struct connection *gone[SENDS_MAX];
	unsigned int n_gone;
};

/* Ask one of those who are due what it wants to send. */
static void round_ask(struct round *round, struct connection *connection)
{
	struct sends_op *op = &round->ops[round->n];
	const char *data;
	ssize_t size = next_piece(connection, &data);

	connection_send_not(connection);
	if (size == -EAGAIN) {
		wait_for_socket(connection, false);
	} else if (size < 0) {
		round->gone[round->n_gone++] = connection;
	} else if (size > 0) {
		*op = (struct sends_op){ .fd = connection->fd, .data = data, .size = (size_t)size };
		round->of[round->n++] = connection;
	}
}

/*
 * One piece for each of some. Nobody goes before all of it is over: with one's view goes what another one's send points to,
 * and the source may publish that it has less to tell.
 */
static void send_round(struct stream *stream, unsigned int max)
{
	struct round round;

	round.n = round.n_gone = 0;
	for (unsigned int i = 0; i < max && !TAILQ_EMPTY(&stream->due); i++)
		round_ask(&round, TAILQ_FIRST(&stream->due));
	sends_run(stream->sends, round.ops, round.n);
	for (unsigned int i = 0; i < round.n; i++)
		if (on_sent(round.of[i], &round.ops[i]) < 0)
			round.gone[round.n_gone++] = round.of[i];
	for (unsigned int i = 0; i < round.n_gone; i++)
		connection_free(round.gone[i]);
}

void stream_send(struct stream *stream)
{
	unsigned int max = views_kept(stream->bus->views);

	while (!TAILQ_EMPTY(&stream->due))
		send_round(stream, max < SENDS_MAX ? max : SENDS_MAX);
}
