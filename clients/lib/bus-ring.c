// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <sys/epoll.h>

#include "bus.h"
#include "ring.h"

/* One call of forkbus_process() looks at so many events of the ring that the filter leaves out, at most. */
#define SLICE 1024

int bus_ring_open(struct forkbus *bus, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	r = ring_new(&bus->ring, fd);
	if (r < 0)
		return r;
	if (epoll_ctl(bus->epoll_fd, EPOLL_CTL_ADD, ring_fd(bus->ring), &event) < 0) {
		r = -errno;
		bus->ring = ring_free(bus->ring);
	}
	return r;
}

int bus_ring_begin(struct forkbus *bus)
{
	int r = ring_seek(bus->ring, bus->position.epoch, bus->position.seq);

	return r == RING_E_EPOCH ? -ESTALE : r;
}

void bus_ring_close(struct forkbus *bus)
{
	if (bus->ring)
		epoll_ctl(bus->epoll_fd, EPOLL_CTL_DEL, ring_fd(bus->ring), NULL);
	bus->ring = ring_free(bus->ring);
	bus->ring_pending = bus->ring_more = bus->ring_ending = false;
}

/* The next event, unless there was no memory for handing out the last one. Return: as ring_next(). */
static int take(struct forkbus *bus)
{
	int r;

	if (bus->ring_pending)
		return 0;
	r = ring_next(bus->ring, &bus->ring_event);
	bus->ring_pending = r == 0 || r == RING_E_LOST;
	return r == RING_E_LOST ? 0 : r;
}

int bus_ring_hand_out(struct forkbus *bus)
{
	const struct fb_event *event = &bus->ring_event;

	for (unsigned int i = 0; i < SLICE; i++) {
		bool wanted;
		int r = take(bus);

		if (r != 0) {
			/* A log that nobody writes: its broker is gone, whether or not the connection tells it. */
			bus->ring_ending |= r == RING_E_REPLACED;
			bus->ring_more = false;
			return r < 0 ? r : FORKBUS_NOTHING;
		}
		wanted = filter_match(bus->ring_filter, event);
		if (wanted && held_set(&bus->event, event) < 0)
			return -ENOMEM;
		bus->ring_pending = false;
		bus->ring_more = true;
		/* Of a loss of this subscriber's own, the end. */
		if (EVENT_HAS(event, seq))
			bus_set_position(bus, bus->position.epoch, event->seq);
		else if (EVENT_HAS(event, to))
			bus_set_position(bus, bus->position.epoch, event->to);
		if (wanted)
			return FORKBUS_EVENT;
	}
	return FORKBUS_NOTHING;
}
