// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include "base/clock.h"
#include "serve/stream/internal.h"

static struct connection *connection_of(struct outbox *outbox)
{
	return (struct connection *)((char *)outbox - offsetof(struct connection, outbox));
}

/* A last line may follow a whole line only. */
static bool is_at_last(const struct connection *connection)
{
	return connection->last && !connection->cursor.own;
}

static int on_piece(struct outbox *outbox, struct send_op *op)
{
	struct connection *connection = connection_of(outbox);
	const char *data;
	ssize_t size;

	if (is_at_last(connection)) {
		send_op_add(op, connection->last + connection->last_at,
			    connection->last_end - connection->last_at);
		return 0;
	}
	size = cursor_peek(&connection->cursor, &data);
	if (size > 0)
		send_op_add(op, data, (size_t)size);
	return size < 0 ? (int)size : 0;
}

static int on_sent(struct outbox *outbox, const struct send_op *op, size_t n)
{
	struct connection *connection = connection_of(outbox);

	(void)op;
	if (n == 0)
		return 0;
	connection->sent_usec = clock_usec(CLOCK_MONOTONIC);
	connection->stream->stats.sent_bytes += n;
	if (!is_at_last(connection))
		return cursor_sent(&connection->cursor, n);
	connection->last_at += n;
	return connection->last_at == connection->last_end ? -ESHUTDOWN : 0;
}

static void on_wait(struct outbox *outbox, bool full)
{
	struct connection *connection = connection_of(outbox);

	if (full && connection->subscribed)
		cursor_block(&connection->cursor);
	event_add(connection->writable, NULL);
}

static void on_close(struct outbox *outbox)
{
	connection_free(connection_of(outbox));
}

const struct outbox_ops stream_outbox_ops = {
	.piece = on_piece,
	.sent = on_sent,
	.wait = on_wait,
	.close = on_close,
};
