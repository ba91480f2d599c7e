// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/priority.h"
#include "core/slice.h"
#include "serve/closer.h"

#define READ_SIZE   4096
/* The kernel charges the broker for unread bytes in a socket: so the buffer is small, and the rest waits in the log. */
#define SEND_BUFFER (64 * 1024)

static const struct face_options *options_of(const struct connection *connection)
{
	return &connection->all->context.options;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void give_back(struct budget_account *account)
{
	budget_give(account, BUDGET_CONNECTIONS, 1);
	budget_account_put(account);
}

void connections_close(struct connections *all, int fd)
{
	if (rights_are_refused(fd) || (!all->closer && closer_new(&all->closer) < 0))
		close(fd);
	else
		closer_close(all->closer, fd);
}

/* The parts that do not depend on the protocol. */
static void release(struct connection *connection)
{
	struct connections *all = connection->all;

	connection_unsubscribe(connection);
	outbox_done(&connection->outbox);
	late_drop(&all->late, &connection->late, LATE_READ | LATE_WRITE);
	if (all->tick_next == connection)
		all->tick_next = LIST_NEXT(connection, link);
	LIST_REMOVE(connection, link);
	all->stats.connections--;
	free_event(connection->readable);
	free_event(connection->writable);
	free_event(connection->deadline);
	connections_close(all, connection->fd);
	budget_give(connection->account, BUDGET_CACHED_BYTES, connection->input_room);
	give_back(connection->account);
	free(connection->input);
	free(connection->last);
	free(connection);
}

void connection_free(struct connection *connection)
{
	if (connection->all->ops->end)
		connection->all->ops->end(connection);
	release(connection);
}

/* Input */

/* A peer that has closed only one half of its socket still reads. */
static bool peer_has_left(int fd)
{
	struct pollfd poll_fd = { .fd = fd };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

/* Return: whether there is room for more input. */
static bool make_room(struct connection *connection)
{
	size_t max = options_of(connection)->request_max + 1; /* including the end of a message */
	size_t wanted = connection->input_room ? 2 * connection->input_room : READ_SIZE;
	char *grown;

	if (connection->input_size < connection->input_room)
		return true;
	if (wanted > max)
		wanted = max;
	if (wanted <= connection->input_size)
		return false;
	connection->over =
		budget_take(connection->account, BUDGET_CACHED_BYTES, wanted - connection->input_room);
	if (connection->over)
		return false;
	grown = realloc(connection->input, wanted);
	if (!grown) {
		budget_give(connection->account, BUDGET_CACHED_BYTES, wanted - connection->input_room);
		return false;
	}
	connection->input = grown;
	connection->input_room = wanted;
	return true;
}

/* Return: where to store the next input, or NULL if it is too long. */
static char *input_room(struct connection *connection, size_t *room)
{
	static char dropped[READ_SIZE];

	if (connection->input_dropped) {
		*room = sizeof(dropped);
		return dropped;
	}
	if (!make_room(connection))
		return NULL;
	*room = connection->input_room - connection->input_size;
	return connection->input + connection->input_size;
}

static void receive(struct connection *connection)
{
	int fd = connection->fd;
	const struct connection_ops *ops = connection->all->ops;
	size_t room;
	char *data = input_room(connection, &room);
	ssize_t n;

	if (!data) {
		ops->too_long(connection);
		return;
	}
	n = connection->may_hold_rights ? rights_receive(fd, data, room) : recv(fd, data, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && peer_has_left(fd))) {
		connection_free(connection);
		return;
	}
	if (n == 0) {
		connection->input_ended = true;
		connection_watch(connection, false);
	}
	if (!connection->input_dropped)
		connection->input_size += (size_t)n;
	ops->received(connection, data, (size_t)n);
}

static bool is_late(const struct connection *connection, uint64_t now_usec)
{
	return budget_wait(connection->account, now_usec) > 0;
}

/* Do something that may free the connection, on its account. */
static void do_now(struct connection *connection, void (*what)(struct connection *connection), uint64_t began)
{
	struct budget_account *account = budget_account_ref(connection->account);
	uint64_t ended;

	what(connection);
	ended = monotonic_nsec();
	budget_spend(account, (ended - began + NSEC_PER_USEC / 2) / NSEC_PER_USEC, ended / NSEC_PER_USEC);
	budget_account_put(account);
}

/* Its input stays in the socket. */
static void read_later(struct connection *connection)
{
	event_del(connection->readable);
	late_add(&connection->all->late, &connection->late, LATE_READ);
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;
	uint64_t now = monotonic_nsec();

	(void)what;
	if (!is_late(connection, now / NSEC_PER_USEC)) {
		/* Otherwise the next turn calls again. */
		if (!slice_turn_is_over(now))
			do_now(connection, receive, now);
	} else if (peer_has_left(fd)) {
		/* Its place is free at once, for who leaves and comes again. */
		do_now(connection, connection_free, now);
	} else {
		read_later(connection);
	}
}

void connection_watch(struct connection *connection, bool watch)
{
	if (watch && connection->late.what & LATE_READ)
		return;
	late_drop(&connection->all->late, &connection->late, LATE_READ);
	if (watch)
		event_add(connection->readable, NULL);
	else
		event_del(connection->readable);
}

char *connection_take_input(struct connection *connection)
{
	char *input = connection->input;

	budget_give(connection->account, BUDGET_CACHED_BYTES, connection->input_room);
	connection->input = NULL;
	connection->input_size = connection->input_room = 0;
	connection->input_dropped = true;
	return input;
}

void connection_start_deadline(struct connection *connection)
{
	struct timeval limit = usec_to_timeval(options_of(connection)->request_usec);

	event_add(connection->deadline, &limit);
}

static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;

	(void)fd, (void)what;
	if (connection->last)
		connection_free(connection);
	else
		connection->all->ops->timeout(connection);
}

/* Output */

bool connection_waits(const struct connection *connection)
{
	return connection->late.what & LATE_WRITE || event_pending(connection->writable, EV_WRITE, NULL);
}

void connection_wait(struct connection *connection, bool full)
{
	if (full && connection->has_cursor)
		cursor_block(&connection->cursor);
	if (full || !is_late(connection, clock_usec(CLOCK_MONOTONIC)))
		event_add(connection->writable, NULL);
	else
		late_add(&connection->all->late, &connection->late, LATE_WRITE);
}

void connection_wake(struct connection *connection)
{
	/* A connection that waits for its socket checks for new events by itself. */
	if (!connection_waits(connection))
		outbox_wake(&connection->outbox);
}

void connection_count_sent(struct connection *connection, size_t n)
{
	connection->sent_usec = clock_usec(CLOCK_MONOTONIC);
	connection->all->stats.sent_bytes += n;
}

void connection_close_after(struct connection *connection, char *message, size_t size)
{
	if (!message) {
		connection_free(connection);
		return;
	}
	connection->last = message;
	connection->last_at = 0;
	connection->last_end = size;
	connection_watch(connection, false);
	connection_start_deadline(connection);
	outbox_due(&connection->outbox);
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;

	(void)fd, (void)what;
	if (is_late(connection, clock_usec(CLOCK_MONOTONIC)))
		late_add(&connection->all->late, &connection->late, LATE_WRITE);
	else
		connection->all->ops->writable(connection);
}

static void on_late(struct late_entry *entry, unsigned int what)
{
	struct connection *connection =
		(struct connection *)((char *)entry - offsetof(struct connection, late));

	if (what == LATE_WRITE) {
		connection->all->ops->writable(connection);
		return;
	}
	event_add(connection->readable, NULL);
	do_now(connection, receive, monotonic_nsec());
}

static struct connection *connection_of(struct outbox *outbox)
{
	return (struct connection *)((char *)outbox - offsetof(struct connection, outbox));
}

/* The last message may only follow a complete one. */
static bool is_at_last(const struct connection *connection)
{
	return connection->last && !connection->cursor.own;
}

static int on_piece(struct outbox *outbox, struct send_op *op)
{
	struct connection *connection = connection_of(outbox);

	if (!is_at_last(connection))
		return connection->all->ops->piece(connection, op);
	send_op_add(op, connection->last + connection->last_at, connection->last_end - connection->last_at);
	return 0;
}

static int on_sent(struct outbox *outbox, const struct send_op *op, size_t n)
{
	struct connection *connection = connection_of(outbox);

	if (n == 0)
		return 0;
	connection_count_sent(connection, n);
	if (!is_at_last(connection))
		return connection->all->ops->sent(connection, op, n);
	connection->last_at += n;
	return connection->last_at == connection->last_end ? -ESHUTDOWN : 0;
}

static void on_wait(struct outbox *outbox, bool full)
{
	connection_wait(connection_of(outbox), full);
}

static void on_close(struct outbox *outbox)
{
	connection_free(connection_of(outbox));
}

static const struct outbox_ops outbox_ops = {
	.piece = on_piece,
	.sent = on_sent,
	.wait = on_wait,
	.close = on_close,
};

/* The cursor */

static void on_wake(struct cursor *cursor)
{
	connection_wake((struct connection *)((char *)cursor - offsetof(struct connection, cursor)));
}

int connection_list(struct connection *connection, struct request *request, const struct encoding *encoding,
		    struct filter_error *error)
{
	int r = cursor_init(&connection->cursor, connection->all->context.hub, request,
			    access_of(&connection->peer), connection->account, encoding, on_wake, error);

	if (r == 0)
		connection->has_cursor = true;
	return r;
}

int connection_subscribe(struct connection *connection, struct request *request,
			 const struct encoding *encoding, struct filter_error *error)
{
	int r = connection_list(connection, request, encoding, error);

	if (r != 0)
		return r;
	connection->subscribed = true;
	connection->all->stats.subscribers++;
	return 0;
}

void connection_unsubscribe(struct connection *connection)
{
	if (connection->subscribed)
		connection->all->stats.subscribers--;
	if (connection->has_cursor)
		cursor_done(&connection->cursor);
	connection->subscribed = connection->has_cursor = false;
}

/* One connection, and all connections */

static void tick(struct connection *connection, uint64_t now_usec)
{
	if (!connection->subscribed || connection->last || connection_waits(connection) ||
	    now_usec - connection->sent_usec < options_of(connection)->heartbeat_usec)
		return;
	if (connection->all->ops->heartbeat(connection) < 0)
		connection_free(connection);
}

bool connections_tick(struct connections *all, uint64_t now_usec)
{
	struct slice slice = slice_begin(SLICE_NSEC);
	struct connection *connection;

	if (!all->tick_next)
		all->tick_next = LIST_FIRST(&all->list);
	while ((connection = all->tick_next)) {
		if (slice_is_over(&slice, SLICE_CHEAP))
			return true;
		all->tick_next = LIST_NEXT(connection, link);
		tick(connection, now_usec);
	}
	return false;
}

void connection_new(struct connections *all, int fd, const struct peer *peer, struct budget_account *account)
{
	struct connection *connection = calloc(1, all->ops->size);
	int size = SEND_BUFFER;

	if (!connection) {
		give_back(account);
		connections_close(all, fd);
		return;
	}
	connection->all = all;
	connection->fd = fd;
	connection->may_hold_rights = !rights_are_refused(fd);
	connection->peer = *peer;
	connection->account = account;
	LIST_INSERT_HEAD(&all->list, connection, link);
	all->stats.connections++;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	connection->readable =
		event_new(all->context.base, fd, EV_READ | EV_PERSIST, on_readable, connection);
	connection->writable = event_new(all->context.base, fd, EV_WRITE, on_writable, connection);
	connection->deadline = event_new(all->context.base, -1, 0, on_deadline, connection);
	if (!connection->readable || !connection->writable || !connection->deadline ||
	    outbox_init(&connection->outbox, all->outboxes, fd, account) < 0) {
		release(connection);
		return;
	}
	event_priority_set(connection->readable, PRIORITY_REQUEST);
	event_priority_set(connection->writable, PRIORITY_REQUEST);
	event_priority_set(connection->deadline, PRIORITY_REQUEST);
	event_add(connection->readable, NULL);
	all->ops->begin(connection);
}

int connections_init(struct connections *all, const struct connection_ops *ops,
		     const struct face_context *context)
{
	int r;

	*all = (struct connections){ .ops = ops, .context = *context };
	LIST_INIT(&all->list);
	r = late_init(&all->late, context->base, on_late);
	if (r < 0)
		return r;
	return outboxes_new(&all->outboxes, context->base, context->hub, &all->context.options, &outbox_ops);
}

void connections_done(struct connections *all)
{
	/* The last messages report why the broker ends. */
	if (all->outboxes)
		outboxes_run(all->outboxes);
	while (!LIST_EMPTY(&all->list))
		connection_free(LIST_FIRST(&all->list));
	all->outboxes = outboxes_free(all->outboxes);
	all->closer = closer_free(all->closer);
	late_done(&all->late);
}
