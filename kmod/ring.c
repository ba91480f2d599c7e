// SPDX-License-Identifier: GPL-2.0-only
#include "forkbus.h"

#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

static unsigned int ring_kib = 8192;
module_param_named(ring, ring_kib, uint, 0444);
MODULE_PARM_DESC(ring, "KiB of memory for events, rounded up to a power of two (default 8192)");

/*
 * Waking a reader is the most expensive part of reporting. More records than this in the time of
 * one pace count as high load: then readers are woken once per pace, or once per tick where ticks
 * are longer, since msecs_to_jiffies() rounds up; otherwise at once.
 */
#define PACE_MSEC 5
#define PACE_RECORDS 12

/*
 * Positions count bytes and never decrease. A record at position p begins at p % size, and is in
 * one piece: there is room for one record after the end.
 */
static struct {
	void (*wake)(unsigned long delay);
	raw_spinlock_t lock;
	u8 *data;
	struct sk_buff *loss; /* a record for losses */
	u64 tail, head;
	u64 unreported, unreported_since; /* lost after the last record, and since when */
	u64 pace_start;
	unsigned int pace_records;
	bool busy;
	struct forkbus_ring_status status;
} ring = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(ring.lock),
	.status.first = 1,
};

int forkbus_ring_alloc(void (*wake)(unsigned long delay))
{
	u32 size = roundup_pow_of_two(clamp(ring_kib, 64U, 1024U * 1024U)) * 1024;

	/* Whatever HZ is: a delay of 0 would wake readers for every record. */
	BUILD_BUG_ON(msecs_to_jiffies(PACE_MSEC) == 0);
	ring.wake = wake;
	ring.loss = ring.loss ?: forkbus_record_alloc();
	ring.data = ring.data ?: vmalloc(size + FORKBUS_RECORD_MAX);
	if (!ring.loss || !ring.data)
		return -ENOMEM;
	ring.status.size = size;
	return 0;
}

/* There must be no writers and readers any more. */
void forkbus_ring_free(void)
{
	vfree(ring.data);
	kfree_skb(ring.loss);
}

#define at(position) ((struct forkbus_head *)(ring.data + ((position) & (ring.status.size - 1))))

/* History is overwritten; unsent records are not. */
static bool make_room(u32 len)
{
	while (ring.status.size - (u32)(ring.head - ring.tail) < len) {
		if (ring.tail == ring.status.sent.position)
			return false;
		ring.status.first = at(ring.tail)->seq + 1;
		ring.tail += NLA_ALIGN(at(ring.tail)->nest.nla_len);
	}
	return true;
}

static bool append(struct sk_buff *record, u64 now)
{
	struct forkbus_head *head = forkbus_head(record);

	if (!make_room(record->len))
		return false;
	head->nest.nla_len = record->len;
	head->seq = ++ring.status.last;
	head->time = now;
	memcpy(at(ring.head), record->data, record->len);
	ring.head += record->len;
	return true;
}

/* Reports a loss before other records. Returns whether all losses are reported. */
static bool report_loss(u64 now)
{
	if (!ring.unreported)
		return true;
	forkbus_record_reset(ring.loss, FORKBUS_TYPE_LOST);
	forkbus_put_u64(ring.loss, FORKBUS_R_COUNT, ring.unreported);
	forkbus_put_u64(ring.loss, FORKBUS_R_SINCE, ring.unreported_since);
	if (!append(ring.loss, now))
		return false;
	ring.unreported = 0;
	return true;
}

static void lose(enum forkbus_type type, u64 count, u64 since)
{
	ring.status.last += count;
	ring.status.lost[type] += count;
	if (!ring.unreported)
		ring.unreported_since = since;
	ring.unreported += count;
}

void forkbus_ring_lose(enum forkbus_type type, u64 count, u64 since)
{
	raw_spin_lock(&ring.lock);
	lose(type, count, since);
	raw_spin_unlock(&ring.lock);
}

void forkbus_ring_write(struct sk_buff *record)
{
	u64 now;

	raw_spin_lock(&ring.lock);
	now = ktime_get_boottime_ns();
	if (!report_loss(now) || !append(record, now))
		lose(forkbus_head(record)->type, 1, now);
	if (now - ring.pace_start > PACE_MSEC * NSEC_PER_MSEC) {
		ring.busy = ring.pace_records > PACE_RECORDS;
		ring.pace_start = now;
		ring.pace_records = 0;
	}
	ring.pace_records++;
	raw_spin_unlock(&ring.lock);
	ring.wake(READ_ONCE(ring.busy) ? msecs_to_jiffies(PACE_MSEC) : 0);
}

/*
 * Copies bytes from the position of @reader that were not overwritten meanwhile. Returns the number
 * of bytes.
 */
static size_t copy_bytes(struct forkbus_reader *reader, void *to, size_t room)
{
	size_t len;
	u64 tail;

	do {
		raw_spin_lock(&ring.lock);
		reader->position = max(reader->position, ring.tail);
		len = min_t(u64, room, ring.head - reader->position);
		raw_spin_unlock(&ring.lock);
		len = min_t(size_t, len,
			    ring.data + ring.status.size + FORKBUS_RECORD_MAX -
				    (u8 *)at(reader->position));
		memcpy(to, at(reader->position), len);
		raw_spin_lock(&ring.lock);
		tail = ring.tail;
		raw_spin_unlock(&ring.lock);
		cond_resched();
	} while (tail > reader->position);
	return len;
}

size_t forkbus_ring_read(struct forkbus_reader *reader, void *to, size_t room)
{
	size_t len, skip, done, next;
	u8 *from;

	do {
		len = copy_bytes(reader, to, room);
		from = (u8 *)at(reader->position);
		for (skip = done = 0; len - done >= sizeof(struct forkbus_head); done = next) {
			const struct forkbus_head *head = to + done;

			next = done + NLA_ALIGN(head->nest.nla_len);
			/* After the end only the rest of a record is valid. */
			if (next > len || from + done >= ring.data + ring.status.size)
				break;
			if (head->seq <= reader->seq)
				skip = next;
			else
				reader->seq = head->seq;
		}
		reader->position += done;
	} while (done && done == skip);
	memmove(to, to + skip, done - skip);
	return done - skip;
}

void forkbus_ring_sent(const struct forkbus_reader *reader)
{
	raw_spin_lock(&ring.lock);
	if (!reader)
		ring.status.sent = (struct forkbus_reader){ ring.head, ring.status.last };
	else if (reader->position > ring.status.sent.position)
		ring.status.sent = *reader;
	report_loss(ktime_get_boottime_ns());
	raw_spin_unlock(&ring.lock);
}

struct forkbus_ring_status forkbus_ring_get_status(void)
{
	struct forkbus_ring_status status;

	raw_spin_lock(&ring.lock);
	status = ring.status;
	status.unsent = ring.head - ring.status.sent.position;
	raw_spin_unlock(&ring.lock);
	return status;
}
