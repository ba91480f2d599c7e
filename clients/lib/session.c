// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "filter-set.h"
#include "ring.h"
#include "session.h"

/* How long to wait between attempts to reconnect: at first, and at most. A restart of the broker takes a few of the first. */
#define BACKOFF_MIN_USEC 50000
#define BACKOFF_MAX_USEC 5000000

/* --- the connection ----------------------------------------------------------------------------------------------- */

/*
 * forkbus_free() closes the epoll instance first, and removes no descriptor from it: in the child of a fork it is shared
 * with the parent, which still uses it.
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
	/* All subscribers of a broker lose it at the same time: spread their attempts to reconnect. */
	client->retry_usec =
		now + client->backoff_usec + (now ^ (uintptr_t)client >> 6) % (client->backoff_usec / 4);
}

int session_watch(struct forkbus *client)
{
	struct epoll_event event = { .events = (uint32_t)wire_events(client->wire) };

	if (epoll_ctl(client->epoll_fd, client->wire_events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
		      wire_fd(client->wire), &event) < 0)
		return -errno;
	client->wire_events = wire_events(client->wire);
	return 0;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

/* Set the call that is sent next. */
static void next_call(struct forkbus *client, enum client_call call)
{
	client->state = CLIENT_CALLING;
	client->call = call;
	client->sent = false;
}

/* First look up which process each bare pid means, then request events. */
static void begin(struct forkbus *client)
{
	/* If a cursor turned out to be invalid after the list was delivered, the list would be delivered twice. */
	bool can_list = !client->position.known || client->is_ready || !client->set.snapshot;

	if (filter_set_unpinned(&client->set))
		next_call(client, CALL_GET_PROCESS);
	else
		next_call(client, client->flags & FORKBUS_RING && can_list ? CALL_OPEN_RING : CALL_SUBSCRIBE);
}

void session_subscribe(struct forkbus *client)
{
	ring_close(client);
	next_call(client, CALL_SUBSCRIBE);
}

int session_connect(struct forkbus *client)
{
	int r = wire_new(&client->wire, client->path);

	if (r < 0)
		return r;
	r = session_watch(client);
	if (r < 0) {
		session_disconnect(client);
		return r;
	}
	begin(client);
	return 0;
}

int session_retry(struct forkbus *client)
{
	int r = session_connect(client);

	if (r == 0 || r == -ENOMEM)
		return r;
	session_wait_again(client);
	return 0;
}

void session_forgo_ring(struct forkbus *client)
{
	client->flags &= ~FORKBUS_RING;
	session_disconnect(client);
	client->state = CLIENT_WAITING;
	client->retry_usec = 0;
}

static json_t *subscribe_parameters(const struct forkbus *client)
{
	char cursor[CURSOR_TEXT_MAX];
	json_t *parameters = json_pack("{s:o}", "filter", filter_set_json(&client->set));
	const char *since = client->set.since;
	bool ok = parameters;

	if (client->position.known)
		since = cursor_print(cursor, client->position.epoch, client->position.seq);
	if (ok && since)
		ok = json_object_set_new(parameters, "since", json_string(since)) == 0;
	/* After ready, missed events are reported as a loss; the snapshot is not repeated. */
	if (ok && client->set.snapshot && !client->is_ready)
		ok = json_object_set_new(parameters, "snapshot", json_true()) == 0;
	if (ok && client->set.complete && !client->is_ready)
		ok = json_object_set_new(parameters, "complete", json_true()) == 0;
	if (ok)
		return parameters;
	json_decref(parameters);
	return NULL;
}

static json_t *parameters_make(struct forkbus *client)
{
	switch (client->call) {
	case CALL_GET_PROCESS:
		return json_pack("{sI}", "pid", (json_int_t)filter_set_unpinned(&client->set)->id.pid);
	case CALL_LIST:
		return json_pack("{s:o}", "filter", filter_set_json(&client->set));
	case CALL_SUBSCRIBE:
		return subscribe_parameters(client);
	case CALL_OPEN_RING:
	case CALL_STATUS:
		break;
	}
	return json_object();
}

int session_send(struct forkbus *client)
{
	static const char *const methods[] = {
		[CALL_GET_PROCESS] = "org.forkbus1.GetProcess", [CALL_OPEN_RING] = "org.forkbus1.OpenRing",
		[CALL_LIST] = "org.forkbus1.ListProcesses",	[CALL_STATUS] = "org.forkbus1.GetStatus",
		[CALL_SUBSCRIBE] = "org.forkbus1.Subscribe",
	};
	json_t *parameters;
	int r;

	if (client->call == CALL_OPEN_RING && !client->ring_filter) {
		r = filter_set_ring_filter(&client->set, &client->ring_filter);
		if (r < 0)
			return r;
		if (!client->ring_filter) {
			session_subscribe(client);
			return 0;
		}
	}
	parameters = parameters_make(client);
	if (!parameters)
		return -ENOMEM;
	r = wire_call(client->wire, methods[client->call], parameters, client->call == CALL_SUBSCRIBE);
	json_decref(parameters);
	if (r < 0)
		return r;
	client->sent = true;
	return 0;
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

static int process_replied(struct forkbus *client)
{
	struct filter_set_pid *pid = filter_set_unpinned(&client->set);
	json_t *process = json_object_get(client->reply.parameters, "process");
	json_t *start = json_object_get(process, "startUsec");

	if (!json_is_object(process) || (start && (!json_is_integer(start) || json_integer_value(start) < 0)))
		return -EBADMSG;
	/* From here on the pid means this process, even if another process gets the pid while the broker restarts. */
	pid->id.start_usec = (uint64_t)json_integer_value(start);
	pid->pinned = true;
	begin(client);
	return 0;
}

/* Map a ring. @fd: ownership is taken. Return: 0 or a negative errno. */
static int ring_open(struct forkbus *client, int fd)
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

static int ring_replied(struct forkbus *client)
{
	json_t *index = json_object_get(client->reply.parameters, "ring");
	int fd;

	if (!json_is_integer(index) || json_integer_value(index) < 0)
		return -EBADMSG;
	fd = wire_take_fd(client->wire, (size_t)json_integer_value(index));
	if (fd < 0)
		return fd;
	if (ring_open(client, fd) < 0)
		session_subscribe(client);
	else
		next_call(client, client->set.snapshot && !client->is_ready ? CALL_LIST : CALL_STATUS);
	return 0;
}

static int refused(struct forkbus *client)
{
	int error = refusal_errno(client->reply.error);
	bool is_full = error == -EUSERS || error == -ENOBUFS;

	if (client->call == CALL_OPEN_RING && !is_full) {
		session_subscribe(client);
		return 0;
	}
	if (is_full && client->accepted) {
		session_wait_again(client);
		return 0;
	}
	return reason_set_refusal(&client->reason, client->reply.error, client->reply.parameters);
}

int session_replied(struct forkbus *client)
{
	if (client->reply.error)
		return refused(client);
	return client->call == CALL_GET_PROCESS ? process_replied(client) : ring_replied(client);
}
