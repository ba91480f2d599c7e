// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "bus.h"

/* How long to wait for a broker that is away: at first, and at most. A restart takes a few of the first. */
#define BACKOFF_MIN_USEC 50000
#define BACKOFF_MAX_USEC 5000000

void bus_disconnect(struct forkbus *bus)
{
	bus_ring_close(bus);
	reply_done(&bus->reply);
	bus->batch = (struct batch){ 0 };
	if (bus->wire && bus->wire_events)
		epoll_ctl(bus->epoll_fd, EPOLL_CTL_DEL, wire_fd(bus->wire), NULL);
	bus->wire_events = 0;
	bus->wire = wire_free(bus->wire);
	bus->sent = false;
}

void bus_wait_again(struct forkbus *bus)
{
	uint64_t now = now_usec();

	bus_disconnect(bus);
	bus->state = BUS_WAITING;
	if (!bus->told_gone)
		bus->announce = FORKBUS_DISCONNECTED;
	bus->told_gone = true;
	bus->backoff_usec = bus->backoff_usec == 0 ? BACKOFF_MIN_USEC : 2 * bus->backoff_usec;
	if (bus->backoff_usec > BACKOFF_MAX_USEC)
		bus->backoff_usec = BACKOFF_MAX_USEC;
	/* Many subscribers lose their broker at the same time, and need not all come back at the same. */
	bus->retry_usec = now + bus->backoff_usec + (now ^ (uintptr_t)bus >> 6) % (bus->backoff_usec / 4);
}

int bus_watch(struct forkbus *bus)
{
	struct epoll_event event = { .events = (uint32_t)wire_events(bus->wire) };

	if (bus->wire_events == wire_events(bus->wire))
		return 0;
	if (epoll_ctl(bus->epoll_fd, bus->wire_events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, wire_fd(bus->wire),
		      &event) < 0)
		return -errno;
	bus->wire_events = wire_events(bus->wire);
	return 0;
}

static void call_next(struct forkbus *bus, enum bus_call call)
{
	bus->state = BUS_CALLING;
	bus->call = call;
	bus->sent = false;
}

/* First who is meant, then what they do. */
static void call_for_events(struct forkbus *bus)
{
	/* A cursor that turns out to be none after the list was handed out would have it told twice. */
	bool can_list = !bus->position.known || bus->told_ready || !bus->settings.snapshot;

	if (settings_unpinned(&bus->settings))
		call_next(bus, CALL_GET_PROCESS);
	else
		call_next(bus, bus->flags & FORKBUS_RING && can_list ? CALL_OPEN_RING : CALL_SUBSCRIBE);
}

void bus_call_subscribe(struct forkbus *bus)
{
	bus_ring_close(bus);
	bus->ring_refused = true;
	call_next(bus, CALL_SUBSCRIBE);
}

int bus_connect(struct forkbus *bus)
{
	int r = wire_new(&bus->wire, bus->path);

	if (r < 0)
		return r;
	bus->ring_refused = false;
	r = bus_watch(bus);
	if (r < 0) {
		bus_disconnect(bus);
		return r;
	}
	call_for_events(bus);
	return 0;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static json_t *subscribe_parameters(const struct forkbus *bus)
{
	char cursor[CURSOR_TEXT_MAX];
	json_t *parameters = json_pack("{s:o}", "filter", settings_filter(&bus->settings));
	const char *since = bus->settings.since;
	bool ok = parameters;

	if (bus->position.known)
		since = cursor_print(cursor, bus->position.epoch, bus->position.seq);
	if (ok && since)
		ok = json_object_set_new(parameters, "since", json_string(since)) == 0;
	/* Once ready was told, what is missing is told too, and nothing is told again. */
	if (ok && bus->settings.snapshot && !bus->told_ready)
		ok = json_object_set_new(parameters, "snapshot", json_true()) == 0;
	if (ok && bus->settings.complete && !bus->told_ready)
		ok = json_object_set_new(parameters, "complete", json_true()) == 0;
	if (ok)
		return parameters;
	json_decref(parameters);
	return NULL;
}

static json_t *parameters_make(struct forkbus *bus)
{
	switch (bus->call) {
	case CALL_GET_PROCESS:
		return json_pack("{sI}", "pid", (json_int_t)settings_unpinned(&bus->settings)->pid);
	case CALL_LIST:
		return json_pack("{s:o}", "filter", settings_filter(&bus->settings));
	case CALL_SUBSCRIBE:
		return subscribe_parameters(bus);
	case CALL_OPEN_RING:
	case CALL_STATUS:
		break;
	}
	return json_object();
}

static int call_send(struct forkbus *bus)
{
	static const char *const methods[] = {
		[CALL_GET_PROCESS] = "org.forkbus1.GetProcess", [CALL_OPEN_RING] = "org.forkbus1.OpenRing",
		[CALL_LIST] = "org.forkbus1.ListProcesses",	[CALL_STATUS] = "org.forkbus1.GetStatus",
		[CALL_SUBSCRIBE] = "org.forkbus1.Subscribe",
	};
	json_t *parameters;
	int r;

	if (bus->call == CALL_OPEN_RING && !bus->ring_filter) {
		r = settings_ring_filter(&bus->settings, &bus->ring_filter);
		if (r < 0)
			return r;
		if (!bus->ring_filter) {
			bus_call_subscribe(bus);
			return 0;
		}
	}
	parameters = parameters_make(bus);
	if (!parameters)
		return -ENOMEM;
	r = wire_call(bus->wire, methods[bus->call], parameters, bus->call == CALL_SUBSCRIBE);
	json_decref(parameters);
	if (r < 0)
		return r;
	bus->sent = true;
	return 0;
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

static int process_replied(struct forkbus *bus)
{
	struct settings_pid *pid = settings_unpinned(&bus->settings);
	json_t *process = json_object_get(bus->reply.parameters, "process");
	json_t *start = json_object_get(process, "startUsec");

	if (!json_is_object(process) || (start && (!json_is_integer(start) || json_integer_value(start) < 0)))
		return -EBADMSG;
	/* From here on it means this process, also when the broker was restarted and the pid is another one's. */
	pid->start_usec = (uint64_t)json_integer_value(start);
	pid->pinned = true;
	call_for_events(bus);
	return 0;
}

static int ring_replied(struct forkbus *bus)
{
	json_t *index = json_object_get(bus->reply.parameters, "ring");
	int fd;

	if (!json_is_integer(index) || json_integer_value(index) < 0)
		return -EBADMSG;
	fd = wire_take_fd(bus->wire, (size_t)json_integer_value(index));
	if (fd < 0)
		return fd;
	if (bus_ring_open(bus, fd) < 0)
		bus_call_subscribe(bus);
	else
		call_next(bus, bus->settings.snapshot && !bus->told_ready ? CALL_LIST : CALL_STATUS);
	return 0;
}

/* Events, or a list of processes, or where the ring is read from: to be handed out. */
static int events_replied(struct forkbus *bus)
{
	struct batch batch = { .is_list = bus->call != CALL_SUBSCRIBE, .end = { .known = true } };

	if (bus->call == CALL_SUBSCRIBE)
		batch.events = json_object_get(bus->reply.parameters, "events");
	else if (bus->call == CALL_LIST)
		batch.events = json_object_get(bus->reply.parameters, "processes");
	if ((bus->call != CALL_STATUS && !json_is_array(batch.events)) ||
	    reply_cursor(&bus->reply, &batch.end.epoch, &batch.end.seq) < 0 ||
	    bus->reply.continues != (bus->call == CALL_SUBSCRIBE))
		return -EBADMSG;
	bus->batch = batch;
	bus->backoff_usec = 0;
	bus->accepted = true;
	if (bus->told_gone)
		bus->announce = FORKBUS_RECONNECTED;
	bus->told_gone = false;
	return 0;
}

static int refused(struct forkbus *bus)
{
	int error = reply_errno(&bus->reply);
	bool is_full = error == -EUSERS || error == -ENOBUFS;

	if (bus->call == CALL_OPEN_RING && !is_full) {
		bus_call_subscribe(bus);
		return 0;
	}
	if (is_full && bus->accepted) {
		bus_wait_again(bus);
		return 0;
	}
	reply_explain(&bus->reply, bus->text);
	bus->has_text = true;
	return error;
}

static int replied(struct forkbus *bus)
{
	if (bus->reply_kind == REPLY_E_REFUSED)
		return refused(bus);
	switch (bus->call) {
	case CALL_GET_PROCESS:
		return process_replied(bus);
	case CALL_OPEN_RING:
		return ring_replied(bus);
	case CALL_LIST:
	case CALL_STATUS:
	case CALL_SUBSCRIBE:
		return events_replied(bus);
	}
	return -EBADMSG;
}

static int call_read(struct forkbus *bus)
{
	json_t *message;
	int r;

	r = wire_read(bus->wire, &message);
	if (r == WIRE_E_MORE) {
		r = bus_watch(bus);
		return r < 0 ? r : BUS_E_IDLE;
	}
	if (r == WIRE_E_END) {
		bus_wait_again(bus);
		return 0;
	}
	/* More processes than one message may have: the snapshot of a subscription has many. */
	if (r == -EMSGSIZE && bus->call == CALL_LIST) {
		bus->flags &= ~FORKBUS_RING;
		bus_disconnect(bus);
		bus->state = BUS_WAITING;
		bus->retry_usec = 0;
		return 0;
	}
	if (r < 0)
		return r;
	bus->reply_kind = reply_set(&bus->reply, message);
	if (bus->reply_kind < 0)
		return bus->reply_kind;
	r = replied(bus);
	if (!bus->batch.end.known)
		reply_done(&bus->reply);
	return r;
}

/* With the ring, the connection has nothing to say but that the broker is gone. */
static int ring_watch(struct forkbus *bus)
{
	json_t *message;
	int r;

	if (bus->ring_ending && !bus->ring_more) {
		bus_wait_again(bus);
		return 0;
	}
	r = wire_read(bus->wire, &message);
	if (r == WIRE_E_MORE) {
		r = bus_watch(bus);
		return r < 0 ? r : BUS_E_IDLE;
	}
	if (r == 0)
		json_decref(message);
	if (r != WIRE_E_END)
		return r < 0 ? r : -EBADMSG;
	bus->ring_ending = true;
	return 0;
}

int bus_advance(struct forkbus *bus)
{
	int r;

	switch (bus->state) {
	case BUS_WAITING:
		if (now_usec() < bus->retry_usec)
			return BUS_E_IDLE;
		r = bus_connect(bus);
		if (r < 0 && r != -ENOMEM)
			bus_wait_again(bus);
		return r == -ENOMEM ? r : 0;
	case BUS_CALLING:
		return bus->sent ? call_read(bus) : call_send(bus);
	case BUS_RING:
		return ring_watch(bus);
	case BUS_NEW:
	case BUS_FAILED:
		break;
	}
	return BUS_E_IDLE;
}
