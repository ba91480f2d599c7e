// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "filter-set.h"
#include "ring.h"
#include "session.h"

/* How long to wait for a broker that is away: at first, and at most. A restart takes a few of the first. */
#define BACKOFF_MIN_USEC 50000
#define BACKOFF_MAX_USEC 5000000

/*
 * forkbus_free() closes the epoll instance first, and nothing is taken out of it: in the child of a fork it is shared with
 * the parent, which goes on.
 */
static void unwatch(struct forkbus *client, int fd)
{
	if (client->epoll_fd >= 0)
		epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void ring_close(struct forkbus *client)
{
	if (client->ring)
		unwatch(client, ring_fd(client->ring));
	client->ring = ring_free(client->ring);
	client->ring_pending = client->ring_more = client->ring_ending = false;
}

void session_disconnect(struct forkbus *client)
{
	ring_close(client);
	reply_done(&client->reply);
	client->batch = (struct batch){ 0 };
	if (client->wire && client->wire_events)
		unwatch(client, wire_fd(client->wire));
	client->wire_events = 0;
	client->wire = wire_free(client->wire);
	client->sent = false;
}

void session_wait_again(struct forkbus *client)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	session_disconnect(client);
	client->state = CLIENT_WAITING;
	if (!client->is_gone)
		client->announce = FORKBUS_DISCONNECTED;
	client->is_gone = true;
	client->backoff_usec = client->backoff_usec == 0 ? BACKOFF_MIN_USEC : 2 * client->backoff_usec;
	if (client->backoff_usec > BACKOFF_MAX_USEC)
		client->backoff_usec = BACKOFF_MAX_USEC;
	/* Many subscribers lose their broker at the same time, and need not all come back at the same. */
	client->retry_usec =
		now + client->backoff_usec + (now ^ (uintptr_t)client >> 6) % (client->backoff_usec / 4);
}

int session_watch(struct forkbus *client)
{
	struct epoll_event event = { .events = (uint32_t)wire_events(client->wire) };

	if (client->wire_events == wire_events(client->wire))
		return 0;
	if (epoll_ctl(client->epoll_fd, client->wire_events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
		      wire_fd(client->wire), &event) < 0)
		return -errno;
	client->wire_events = wire_events(client->wire);
	return 0;
}

void session_call(struct forkbus *client, enum client_call call)
{
	client->state = CLIENT_CALLING;
	client->call = call;
	client->sent = false;
}

/* First which process a bare pid means, then its events. */
void session_begin(struct forkbus *client)
{
	/* Where a cursor turned out to be invalid after the list was delivered, the list would come twice. */
	bool can_list = !client->position.known || client->is_ready || !client->set.snapshot;

	if (filter_set_unpinned(&client->set))
		session_call(client, CALL_GET_PROCESS);
	else
		session_call(client,
			     client->flags & FORKBUS_RING && can_list ? CALL_OPEN_RING : CALL_SUBSCRIBE);
}

void session_subscribe(struct forkbus *client)
{
	ring_close(client);
	client->ring_refused = true;
	session_call(client, CALL_SUBSCRIBE);
}

int session_connect(struct forkbus *client)
{
	int r = wire_new(&client->wire, client->path);

	if (r < 0)
		return r;
	client->ring_refused = false;
	r = session_watch(client);
	if (r < 0) {
		session_disconnect(client);
		return r;
	}
	session_begin(client);
	return 0;
}

int session_open_ring(struct forkbus *client, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	r = ring_new(&client->ring, fd);
	if (r < 0)
		return r;
	if (epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, ring_fd(client->ring), &event) < 0) {
		r = -errno;
		client->ring = ring_free(client->ring);
	}
	return r;
}
