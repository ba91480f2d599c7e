// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client.h"
#include "ring.h"
#include "session.h"

/* The most steps of one call of forkbus_process(), whatever the broker sends. */
#define STEPS_MAX 64

/* The most events of the ring that one step reads while it searches for one that matches. */
#define SLICE 1024

/* --- the handle --------------------------------------------------------------------------------------------------- */

int forkbus_new(struct forkbus **ret, const char *runtime_dir, uint64_t flags)
{
	struct forkbus *client;
	int r;

	if (flags & ~(FORKBUS_RING | FORKBUS_PATIENT))
		return -EINVAL;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->flags = flags;
	client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = client->epoll_fd < 0 ? -errno : 0;
	if (r == 0 &&
	    asprintf(&client->path, "%s/org.forkbus1", runtime_dir ? runtime_dir : RUNTIME_DIR) < 0) {
		client->path = NULL;
		r = -ENOMEM;
	}
	if (r == 0 && strlen(client->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		r = -ENAMETOOLONG;
	if (r < 0) {
		forkbus_free(client);
		return r;
	}
	*ret = client;
	return 0;
}

struct forkbus *forkbus_free(struct forkbus *client)
{
	if (client) {
		/* Closed first, so that no descriptor is removed from it: see session.c. */
		if (client->epoll_fd >= 0)
			close(client->epoll_fd);
		client->epoll_fd = -1;
		session_disconnect(client);
		filter_set_done(&client->set);
		event_copy_done(&client->event);
		filter_free(client->ring_filter);
		free(client->path);
		free(client);
	}
	return NULL;
}

const char *forkbus_get_error(const struct forkbus *client)
{
	return client->reason.known ? client->reason.text : NULL;
}

/* Refuse at once what the broker would refuse later. */
static int check_filter(struct forkbus *client)
{
	json_t *object = filter_set_json(&client->set);
	struct filter *filter = NULL;
	struct filter_error error;
	int r = object ? filter_parse(&filter, object, &error) : -ENOMEM;

	json_decref(object);
	filter_free(filter);
	return r > 0 ? reason_set_filter(&client->reason, &error) : r;
}

int forkbus_start(struct forkbus *client)
{
	int r;

	reason_clear(&client->reason);
	if (client_is_started(client))
		return -EALREADY;
	r = check_filter(client);
	if (r < 0)
		return r;
	r = session_connect(client);
	if (r == -EAGAIN || (client->flags & FORKBUS_PATIENT && r < 0 && r != -ENOMEM))
		session_wait_again(client);
	else if (r < 0)
		return r;
	/* The next forkbus_process() sends the first call. */
	client->busy = true;
	return 0;
}

/* --- events of a reply -------------------------------------------------------------------------------------------- */

/* A reply with events, a list of processes, or the position where reading the ring begins: for batch_deliver(). */
static int batch_begin(struct forkbus *client)
{
	struct batch batch = { .is_list = client->call != CALL_SUBSCRIBE, .end = { .known = true } };

	if (client->call == CALL_SUBSCRIBE)
		batch.events = json_object_get(client->reply.parameters, "events");
	else if (client->call == CALL_LIST)
		batch.events = json_object_get(client->reply.parameters, "processes");
	if ((client->call != CALL_STATUS && !json_is_array(batch.events)) ||
	    reply_cursor(&client->reply, &batch.end.epoch, &batch.end.seq) < 0 ||
	    client->reply.continues != (client->call == CALL_SUBSCRIBE))
		return -EBADMSG;
	client->batch = batch;
	client->backoff_usec = 0;
	client->accepted = true;
	if (client->is_gone)
		client->announce = FORKBUS_RECONNECTED;
	client->is_gone = false;
	return 0;
}

static void set_position(struct forkbus *client, uint64_t epoch, uint64_t seq)
{
	client->position = (struct position){ true, epoch, seq };
	cursor_print(client->cursor, epoch, seq);
}

/* Was this event already delivered, before the connection was lost? */
static bool is_double(const struct forkbus *client, const struct fb_event *event)
{
	if (event->type == EVENT_READY)
		return client->is_ready;
	return EVENT_HAS(event, seq) && client->position.known &&
	       client->position.epoch == client->batch.end.epoch && event->seq <= client->position.seq;
}

/* The snapshot is over. The cursor of ready is the position in the log from which events follow. */
static void ready_delivered(struct forkbus *client, const struct fb_event *event)
{
	uint64_t epoch, seq;

	client->is_ready = true;
	if (EVENT_HAS(event, cursor) && cursor_parse(event->cursor.data, &epoch, &seq) == 0 &&
	    epoch == client->batch.end.epoch)
		set_position(client, epoch, seq);
}

static void delivered(struct forkbus *client, const struct fb_event *event)
{
	uint64_t epoch = client->batch.end.epoch;

	if (event->type == EVENT_READY)
		ready_delivered(client, event);
	if (EVENT_HAS(event, seq))
		set_position(client, epoch, event->seq);
	/* A loss of only this subscriber has no position of its own in the log: use its end. */
	else if (event->type == EVENT_LOST && EVENT_HAS(event, to))
		set_position(client, epoch, event->to);
	if (client->batch.next == json_array_size(client->batch.events) && !client->batch.is_list)
		set_position(client, epoch, client->batch.end.seq);
}

static void batch_done(struct forkbus *client)
{
	client->batch = (struct batch){ 0 };
	reply_done(&client->reply);
}

/* Continue at the position, in the ring if it still has it, else by the socket. */
static void ring_begin(struct forkbus *client)
{
	if (ring_seek(client->ring, client->position.epoch, client->position.seq) == 0)
		client->state = CLIENT_RING;
	else
		session_subscribe(client);
}

/* The list is delivered: deliver ready, if that was not done before, then read the ring. */
static int list_done(struct forkbus *client)
{
	const struct position end = client->position.known ? client->position : client->batch.end;
	char cursor[CURSOR_TEXT_MAX];
	struct fb_event event;
	int item = FORKBUS_NOTHING;

	/* The cursor is of another log or of the future: subscribe, so that the broker reports the loss or the error. */
	if (end.epoch != client->batch.end.epoch || end.seq > client->batch.end.seq) {
		batch_done(client);
		session_subscribe(client);
		return FORKBUS_NOTHING;
	}
	if (!client->is_ready) {
		fb_event_init(&event, EVENT_READY);
		EVENT_SET(&event, time_usec, clock_usec(CLOCK_REALTIME));
		EVENT_SET(&event, cursor, event_text(cursor_print(cursor, end.epoch, end.seq)));
		if (event_copy_set(&client->event, &event) < 0)
			return -ENOMEM;
		item = FORKBUS_EVENT;
	}
	client->is_ready = true;
	set_position(client, end.epoch, end.seq);
	batch_done(client);
	ring_begin(client);
	return item;
}

static int batch_deliver(struct forkbus *client)
{
	struct batch *batch = &client->batch;
	int r;

	while (batch->next < json_array_size(batch->events)) {
		r = event_copy_decode(&client->event, &client->store,
				      json_array_get(batch->events, batch->next));
		if (r < 0)
			return r;
		batch->next++;
		if (r == EVENT_COPY_E_UNKNOWN || is_double(client, &client->event.event))
			continue;
		delivered(client, &client->event.event);
		return FORKBUS_EVENT;
	}
	if (batch->is_list)
		return list_done(client);
	/*
	 * The whole batch is delivered: continue after its end, which includes events that the filter leaves out. Before
	 * ready, the end is the position that follows the snapshot, and a new snapshot is continued from there, too.
	 */
	set_position(client, batch->end.epoch, batch->end.seq);
	batch_done(client);
	return FORKBUS_NOTHING;
}

/* --- events of the ring ------------------------------------------------------------------------------------------- */

/* Read the next event, unless the last one could not be delivered for lack of memory. Return: as ring_next(). */
static int ring_take(struct forkbus *client)
{
	int r;

	if (client->ring_pending)
		return 0;
	r = ring_next(client->ring, &client->ring_event);
	client->ring_pending = r == 0 || r == RING_E_LOST;
	return r == RING_E_LOST ? 0 : r;
}

/* The ring has no more events, for now or at all. Return: as ring_deliver(). */
static int ring_pause(struct forkbus *client, int r)
{
	/* The log has no writer: its broker is gone, even if the connection has not ended yet. */
	client->ring_ending |= r == RING_E_REPLACED;
	client->ring_more = false;
	/* The ring cannot be read, but the broker can still send the events by the socket. */
	if (r == -EBADMSG || r == -EPROTONOSUPPORT)
		session_subscribe(client);
	else if (r < 0)
		return r;
	return FORKBUS_NOTHING;
}

static int ring_deliver(struct forkbus *client)
{
	const struct fb_event *event = &client->ring_event;

	for (unsigned int i = 0; i < SLICE; i++) {
		bool wanted;
		int r = ring_take(client);

		if (r != 0)
			return ring_pause(client, r);
		wanted = filter_match(client->ring_filter, event);
		if (wanted && event_copy_set(&client->event, event) < 0)
			return -ENOMEM;
		client->ring_pending = false;
		client->ring_more = true;
		/* A loss of only this subscriber has no position of its own: use its end. */
		if (EVENT_HAS(event, seq))
			set_position(client, client->position.epoch, event->seq);
		else if (EVENT_HAS(event, to))
			set_position(client, client->position.epoch, event->to);
		if (wanted)
			return FORKBUS_EVENT;
	}
	return FORKBUS_NOTHING;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* There is nothing to read: wait for the connection. */
static int watch(struct forkbus *client, bool *idle)
{
	*idle = true;
	return client->wire_events == wire_events(client->wire) ? 0 : session_watch(client);
}

static int read_reply(struct forkbus *client, bool *idle)
{
	int r = wire_read(client->wire, &client->reply);

	if (r == WIRE_E_MORE)
		return watch(client, idle);
	if (r == WIRE_E_END) {
		session_wait_again(client);
		return 0;
	}
	/* The list of processes is too long for one message. The snapshot of a subscription comes in many messages. */
	if (r == -EMSGSIZE && client->call == CALL_LIST) {
		session_forgo_ring(client);
		return 0;
	}
	if (r < 0)
		return r;
	if (client->reply.error || client->call == CALL_GET_PROCESS || client->call == CALL_OPEN_RING)
		r = session_replied(client);
	else
		r = batch_begin(client);
	if (!client->batch.end.known)
		reply_done(&client->reply);
	return r;
}

/* With the ring, the connection only shows whether the broker is there. */
static int ring_watch(struct forkbus *client, bool *idle)
{
	struct reply reply;
	int r;

	if (client->ring_ending && !client->ring_more) {
		session_wait_again(client);
		return 0;
	}
	r = wire_read(client->wire, &reply);
	if (r == WIRE_E_MORE)
		return watch(client, idle);
	if (r == 0)
		reply_done(&reply);
	if (r != WIRE_E_END)
		return r < 0 ? r : -EBADMSG;
	client->ring_ending = true;
	return 0;
}

/* Deliver what was received, before more is read. Return: an item, or a negative errno; all except -ENOMEM are final. */
static int deliver(struct forkbus *client)
{
	int r = client->announce;

	client->announce = FORKBUS_NOTHING;
	if (r == FORKBUS_NOTHING && client->batch.end.known)
		r = batch_deliver(client);
	if (r == FORKBUS_NOTHING && client->state == CLIENT_RING)
		r = ring_deliver(client);
	return r;
}

/* One step. Return: an item, FORKBUS_NOTHING if the step had none, or a negative errno; @idle: nothing is left to do. */
static int step(struct forkbus *client, bool *idle)
{
	int r = deliver(client);

	if (r != FORKBUS_NOTHING)
		return r;
	switch (client->state) {
	case CLIENT_WAITING:
		*idle = clock_usec(CLOCK_MONOTONIC) < client->retry_usec;
		return *idle ? 0 : session_retry(client);
	case CLIENT_CALLING:
		return client->sent ? read_reply(client, idle) : session_send(client);
	case CLIENT_RING:
		return ring_watch(client, idle);
	case CLIENT_NEW:
	case CLIENT_FAILED:
		break;
	}
	*idle = true;
	return FORKBUS_NOTHING;
}

static int fail(struct forkbus *client, int error)
{
	if (error == -ENOMEM) {
		client->busy = true;
		return error;
	}
	if (error == -EBADMSG && !client->reason.known)
		reason_set(&client->reason, error, "not a forkbus broker: its answer is malformed");
	session_disconnect(client);
	client->state = CLIENT_FAILED;
	client->failure = error;
	client->busy = false;
	return error;
}

int forkbus_process(struct forkbus *client, const struct forkbus_event **ret)
{
	bool idle = false;
	int r = FORKBUS_NOTHING;

	*ret = NULL;
	if (client->state == CLIENT_NEW)
		return -ENOTCONN;
	for (unsigned int i = 0; i < STEPS_MAX && r == FORKBUS_NOTHING && !idle; i++)
		r = client->state == CLIENT_FAILED ? client->failure : step(client, &idle);
	if (client->state == CLIENT_FAILED)
		return r;
	if (r < 0)
		return fail(client, r);
	if (r == FORKBUS_EVENT)
		*ret = &client->event;
	client->busy = !idle || client->ring_more;
	return r;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

int forkbus_wait(struct forkbus *client, uint64_t timeout_usec)
{
	struct pollfd fd = { .fd = client->epoll_fd, .events = POLLIN };
	uint64_t now = clock_usec(CLOCK_MONOTONIC), until, left;
	struct timespec timeout;
	int r;

	if (client->state == CLIENT_NEW)
		return -ENOTCONN;
	if (client->state == CLIENT_FAILED)
		return client->failure;
	forkbus_get_timeout(client, &until);
	if (until <= now)
		return 1;
	left = until == FORKBUS_FOREVER ? FORKBUS_FOREVER : until - now;
	if (timeout_usec < left)
		left = timeout_usec;
	timeout = (struct timespec){ (time_t)(left / 1000000), (long)(left % 1000000 * 1000) };
	r = ppoll(&fd, 1, left == FORKBUS_FOREVER ? NULL : &timeout, NULL);
	if (r < 0)
		return -errno;
	return r > 0 || left < timeout_usec;
}

int forkbus_get_fd(const struct forkbus *client)
{
	return client->epoll_fd;
}

int forkbus_get_events(const struct forkbus *client)
{
	(void)client;
	return POLLIN;
}

int forkbus_get_timeout(const struct forkbus *client, uint64_t *usec)
{
	if (client->busy)
		*usec = 0;
	else
		*usec = client->state == CLIENT_WAITING ? client->retry_usec : FORKBUS_FOREVER;
	return 0;
}

const char *forkbus_get_cursor(const struct forkbus *client)
{
	return client->is_ready ? client->cursor : NULL;
}

bool forkbus_uses_ring(const struct forkbus *client)
{
	return client->state == CLIENT_RING;
}
