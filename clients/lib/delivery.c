// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include "base/clock.h"
#include "delivery.h"
#include "ring.h"

/* One call of forkbus_process() looks at so many events of the ring that the filter leaves out, at most. */
#define SLICE 1024

static void set_position(struct forkbus *client, uint64_t epoch, uint64_t seq)
{
	client->position = (struct position){ true, epoch, seq };
	cursor_print(client->cursor, epoch, seq);
}

/* Was it delivered before the connection was lost? */
static bool is_double(const struct forkbus *client, const struct fb_event *event)
{
	if (event->type == EVENT_READY)
		return client->is_ready;
	return EVENT_HAS(event, seq) && client->position.known &&
	       client->position.epoch == client->batch.end.epoch && event->seq <= client->position.seq;
}

/* The snapshot is over, and the log begins somewhere. */
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
	/* A loss of this subscriber's own has no place in the log, but an end there. */
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

/* Return: 0, DELIVERY_E_SUBSCRIBE where the ring does not go on at the position. */
static int ring_begin(struct forkbus *client)
{
	if (ring_seek(client->ring, client->position.epoch, client->position.seq) != 0)
		return DELIVERY_E_SUBSCRIBE;
	client->state = CLIENT_RING;
	return 0;
}

/* After a list: ready, where it has not come yet, and the ring from there on. */
static int list_done(struct forkbus *client, enum forkbus_item *item)
{
	const struct position end = client->position.known ? client->position : client->batch.end;
	char cursor[CURSOR_TEXT_MAX];
	struct fb_event event;

	/* A cursor of another log, or of the future: the broker knows what to say. */
	if (end.epoch != client->batch.end.epoch || end.seq > client->batch.end.seq) {
		batch_done(client);
		return DELIVERY_E_SUBSCRIBE;
	}
	if (!client->is_ready) {
		fb_event_init(&event, EVENT_READY);
		EVENT_SET(&event, time_usec, clock_usec(CLOCK_REALTIME));
		EVENT_SET(&event, cursor, event_text(cursor_print(cursor, end.epoch, end.seq)));
		if (event_copy_set(&client->event, &event) < 0)
			return -ENOMEM;
		*item = FORKBUS_EVENT;
	}
	client->is_ready = true;
	set_position(client, end.epoch, end.seq);
	batch_done(client);
	return ring_begin(client);
}

static int batch_next(struct forkbus *client, enum forkbus_item *item)
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
		*item = FORKBUS_EVENT;
		return 0;
	}
	if (batch->is_list)
		return list_done(client, item);
	/*
	 * All of it is with the caller, and so is what the filter left out. Before ready the cursor says what follows the
	 * snapshot: one that is made anew is followed by it, too.
	 */
	set_position(client, batch->end.epoch, batch->end.seq);
	batch_done(client);
	return 0;
}

/* The next event, unless there was no memory to deliver the last one. Return: as ring_next(). */
static int take(struct forkbus *client)
{
	int r;

	if (client->ring_pending)
		return 0;
	r = ring_next(client->ring, &client->ring_event);
	client->ring_pending = r == 0 || r == RING_E_LOST;
	return r == RING_E_LOST ? 0 : r;
}

static int ring_deliver(struct forkbus *client, enum forkbus_item *item)
{
	const struct fb_event *event = &client->ring_event;

	for (unsigned int i = 0; i < SLICE; i++) {
		bool wanted;
		int r = take(client);

		if (r != 0) {
			/* A log without a writer: its broker is gone, even where the connection has not ended. */
			client->ring_ending |= r == RING_E_REPLACED;
			client->ring_more = false;
			/* The broker can still send what cannot be read here. */
			if (r == -EBADMSG || r == -EPROTONOSUPPORT)
				return DELIVERY_E_SUBSCRIBE;
			return r < 0 ? r : 0;
		}
		wanted = filter_match(client->ring_filter, event);
		if (wanted && event_copy_set(&client->event, event) < 0)
			return -ENOMEM;
		client->ring_pending = false;
		client->ring_more = true;
		/* Of a loss of this subscriber's own, the end. */
		if (EVENT_HAS(event, seq))
			set_position(client, client->position.epoch, event->seq);
		else if (EVENT_HAS(event, to))
			set_position(client, client->position.epoch, event->to);
		if (wanted) {
			*item = FORKBUS_EVENT;
			return 0;
		}
	}
	return 0;
}

int delivery_next(struct forkbus *client, enum forkbus_item *item)
{
	int r;

	*item = client->announce;
	client->announce = FORKBUS_NOTHING;
	if (*item != FORKBUS_NOTHING)
		return 0;
	r = client->batch.end.known ? batch_next(client, item) : 0;
	if (r != 0 || *item != FORKBUS_NOTHING || client->state != CLIENT_RING)
		return r;
	return ring_deliver(client, item);
}
