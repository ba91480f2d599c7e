// SPDX-License-Identifier: LGPL-2.1-or-later
/* What came, one by one. */
#include <errno.h>
#include <time.h>

#include "bus.h"

void bus_set_position(struct forkbus *bus, uint64_t epoch, uint64_t seq)
{
	bus->position = (struct position){ true, epoch, seq };
	cursor_print(bus->cursor, epoch, seq);
}

/* Was it handed out before the connection was lost? */
static bool is_double(const struct forkbus *bus, const struct fb_event *event)
{
	if (event->type == EVENT_READY)
		return bus->told_ready;
	return EVENT_HAS(event, seq) && bus->position.known && bus->position.epoch == bus->batch.end.epoch &&
	       event->seq <= bus->position.seq;
}

/* The snapshot is over, and the log begins somewhere. */
static void ready_handed_out(struct forkbus *bus, const struct fb_event *event)
{
	uint64_t epoch, seq;

	bus->told_ready = true;
	if (EVENT_HAS(event, cursor) && cursor_parse(event->cursor.data, &epoch, &seq) == 0 &&
	    epoch == bus->batch.end.epoch)
		bus_set_position(bus, epoch, seq);
}

static void handed_out(struct forkbus *bus, const struct fb_event *event)
{
	uint64_t epoch = bus->batch.end.epoch;

	if (event->type == EVENT_READY)
		ready_handed_out(bus, event);
	if (EVENT_HAS(event, seq))
		bus_set_position(bus, epoch, event->seq);
	/* A loss of this subscriber's own has no place in the log, but an end there. */
	else if (event->type == EVENT_LOST && EVENT_HAS(event, to))
		bus_set_position(bus, epoch, event->to);
	if (bus->batch.next == json_array_size(bus->batch.events) && !bus->batch.is_list)
		bus_set_position(bus, epoch, bus->batch.end.seq);
}

static void batch_done(struct forkbus *bus)
{
	bus->batch = (struct batch){ 0 };
	reply_done(&bus->reply);
}

/* After a list: ready, where it was not told, and the ring from there on. */
static int list_done(struct forkbus *bus)
{
	const struct position end = bus->position.known ? bus->position : bus->batch.end;
	bool tell = !bus->told_ready;
	char cursor[CURSOR_TEXT_MAX];
	struct fb_event event;
	struct timespec now;

	/* A cursor of another log, or of the future: the broker knows what to say. */
	if (end.epoch != bus->batch.end.epoch || end.seq > bus->batch.end.seq) {
		batch_done(bus);
		bus_call_subscribe(bus);
		return FORKBUS_NOTHING;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	fb_event_init(&event, EVENT_READY);
	EVENT_SET(&event, time_usec, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	EVENT_SET(&event, cursor, event_text(cursor_print(cursor, end.epoch, end.seq)));
	if (tell && held_set(&bus->event, &event) < 0)
		return -ENOMEM;
	bus->told_ready = true;
	bus_set_position(bus, end.epoch, end.seq);
	batch_done(bus);
	if (bus_ring_begin(bus) < 0)
		bus_call_subscribe(bus);
	else
		bus->state = BUS_RING;
	return tell ? FORKBUS_EVENT : FORKBUS_NOTHING;
}

static int batch_hand_out(struct forkbus *bus)
{
	struct batch *batch = &bus->batch;
	int r;

	while (batch->next < json_array_size(batch->events)) {
		r = held_decode(&bus->event, &bus->store, json_array_get(batch->events, batch->next));
		if (r < 0)
			return r;
		batch->next++;
		if (r == HELD_E_UNKNOWN || is_double(bus, &bus->event.event))
			continue;
		handed_out(bus, &bus->event.event);
		return FORKBUS_EVENT;
	}
	if (batch->is_list)
		return list_done(bus);
	/*
	 * All of it is with the caller, and so is what the filter left out. Before ready the cursor says what follows the
	 * snapshot: one that is made anew is followed by it, too.
	 */
	bus_set_position(bus, batch->end.epoch, batch->end.seq);
	batch_done(bus);
	return FORKBUS_NOTHING;
}

int bus_hand_out(struct forkbus *bus)
{
	int r;

	if (bus->announce) {
		r = bus->announce;
		bus->announce = FORKBUS_NOTHING;
		return r;
	}
	r = bus->batch.end.known ? batch_hand_out(bus) : FORKBUS_NOTHING;
	if (r != FORKBUS_NOTHING || bus->state != BUS_RING)
		return r;
	r = bus_ring_hand_out(bus);
	/* The broker can still tell what cannot be read here. */
	if (r == -EBADMSG) {
		bus_call_subscribe(bus);
		return FORKBUS_NOTHING;
	}
	return r;
}
