// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log-reader.h"
#include "ring-waiter.h"
#include "ring.h"

struct ring {
	int fd;
	struct log_reader reader;
	void *header; /* the first page of the file, mapped: for the futex in it, and never read */
	struct ring_waiter waiter;
	struct log_loss loss; /* to be reported next, if there is any */
	const char *reason;   /* of the loss */
};

int ring_new(struct ring **ret, int fd)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring) {
		close(fd);
		return -ENOMEM;
	}
	ring->fd = fd;
	ring->waiter.event_fd = -1;
	ring->header = MAP_FAILED;
	r = log_reader_open(&ring->reader, fd);
	if (r == 0) {
		ring->header = mmap(NULL, LOG_HEADER_SIZE, PROT_READ, MAP_SHARED, fd, 0);
		r = ring->header == MAP_FAILED ? -errno : 0;
	}
	if (r == 0)
		r = ring_waiter_start(&ring->waiter, fd, ring->header, ring->reader.size);
	if (r < 0) {
		ring_free(ring);
		return r;
	}
	*ret = ring;
	return 0;
}

struct ring *ring_free(struct ring *ring)
{
	if (!ring)
		return NULL;
	ring_waiter_stop(&ring->waiter);
	if (ring->header != MAP_FAILED)
		munmap(ring->header, LOG_HEADER_SIZE);
	close(ring->fd);
	free(ring);
	return NULL;
}

int ring_fd(const struct ring *ring)
{
	return ring->waiter.event_fd;
}

static int report_loss(struct ring *ring, struct fb_event *event)
{
	fb_event_init(event, EVENT_LOST);
	EVENT_SET(event, reason, event_text(ring->reason));
	EVENT_SET(event, count, ring->loss.count);
	EVENT_SET(event, from, ring->loss.from);
	EVENT_SET(event, to, ring->loss.to);
	ring->loss = (struct log_loss){};
	return RING_E_LOST;
}

/* At the head: ask the waiter, then look once more, so that no event is missed in between. Return: as log_reader_next(). */
static int ask(struct ring *ring, struct fb_event *event)
{
	int r;

	if (!ring_waiter_ask(&ring->waiter, ring->reader.position))
		return LOG_READER_E_END;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r = log_reader_next(&ring->reader, event);
	/* The descriptor was cleared, but there may be more events than this one. */
	if (r != LOG_READER_E_END)
		ring_waiter_signal(&ring->waiter);
	return r;
}

/* All is read: for now, or has the log ended? */
static int report_end(struct ring *ring)
{
	int end = ring_waiter_end(&ring->waiter);

	if (end == 0)
		return RING_E_END;
	ring_waiter_signal(&ring->waiter); /* so that no reader waits */
	return end;
}

int ring_next(struct ring *ring, struct fb_event *event)
{
	int r = ring_waiter_end(&ring->waiter);

	if (r < 0)
		return r;
	for (;;) {
		if (ring->loss.count > 0)
			return report_loss(ring, event);
		r = log_reader_next(&ring->reader, event);
		if (r == LOG_READER_E_END)
			r = ask(ring, event);
		if (r == LOG_READER_E_END)
			return report_end(ring);
		if (r == LOG_READER_E_LAPPED)
			r = log_reader_resume(&ring->reader, &ring->loss);
		else if (r == 0)
			return 0;
		if (r != 0)
			return r == LOG_READER_E_FOREIGN ? -EPROTONOSUPPORT : -EBADMSG;
		ring->reason = "slow";
	}
}

int ring_seek(struct ring *ring, uint64_t epoch, uint64_t seq)
{
	uint64_t position = ring->reader.position, next = ring->reader.seq;
	int r;

	if (epoch != ring->reader.header.epoch)
		return RING_E_EPOCH;
	r = seq < UINT64_MAX ? log_reader_seek(&ring->reader, seq + 1) : LOG_READER_E_AHEAD;
	if (r == LOG_READER_E_AHEAD) {
		ring->reader.position = position;
		ring->reader.seq = next;
		return -ERANGE;
	}
	if (r == LOG_READER_E_FOREIGN)
		return -EPROTONOSUPPORT;
	if (r == LOG_READER_E_CORRUPT)
		return -EBADMSG;
	ring->loss = (struct log_loss){};
	if (r == LOG_READER_E_GONE) {
		ring->loss = (struct log_loss){ seq + 1, ring->reader.seq - 1, ring->reader.seq - seq - 1 };
		ring->reason = "expired";
	}
	ring_waiter_signal(&ring->waiter);
	return 0;
}
