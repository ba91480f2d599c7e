// SPDX-License-Identifier: GPL-2.0-only
#include "ring.h"

#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <net/netlink.h>

static unsigned int ring_kib = 8192;
module_param_named(ring, ring_kib, uint, 0444);
MODULE_PARM_DESC(ring, "KiB of memory for events, rounded up to a power of two (default 8192)");

/*
 * Waking somebody up is the dearest part of telling. More records than this in the time of one
 * pace are load: then those who read are woken once a pace, and otherwise at once.
 */
#define PACE_NSEC (5 * NSEC_PER_MSEC)
#define PACE_RECORDS 12

/* No more headers are looked at with the lock held. */
#define SKIP_MAX 64

/*
 * Positions count bytes and never go back; position p lies at p % size. Everything is a multiple of
 * NLA_ALIGNTO, so that the header of a record is never in two parts.
 */
static struct {
	void (*wake)(unsigned long delay);
	raw_spinlock_t lock;
	u8 *data;
	u32 size; /* a power of two; 0: there is no ring */
	u64 tail, sent, head;
	u64 first_seq, sent_seq, last_seq;
	u64 lost[__FORKBUS_TYPE_MAX];
	u64 untold, untold_since; /* lost after the last record, and since when */
	u64 pace_start;
	unsigned int pace_records;
	bool busy;
} ring = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(ring.lock),
	.first_seq = 1,
};

void forkbus_ring_init(void (*wake)(unsigned long delay))
{
	ring.wake = wake;
}

int forkbus_ring_alloc(void)
{
	u32 size = roundup_pow_of_two(clamp(ring_kib, 64U, 1024U * 1024U)) * 1024;
	u8 *data;

	if (ring.data)
		return 0;
	data = vmalloc(size);
	if (!data)
		return -ENOMEM;
	raw_spin_lock_irq(&ring.lock);
	ring.data = data;
	ring.size = size;
	raw_spin_unlock_irq(&ring.lock);
	return 0;
}

/* Nobody may write or read any more. */
void forkbus_ring_free(void)
{
	vfree(ring.data);
	ring.data = NULL;
	ring.size = 0;
}

static void copy_in(u64 position, const void *from, size_t len)
{
	u32 at = position & (ring.size - 1);
	size_t part = min_t(size_t, len, ring.size - at);

	memcpy(ring.data + at, from, part);
	memcpy(ring.data, from + part, len - part);
}

static void copy_out(u64 position, void *to, size_t len)
{
	u32 at = position & (ring.size - 1);
	size_t part = min_t(size_t, len, ring.size - at);

	memcpy(to, ring.data + at, part);
	memcpy(to + part, ring.data, len - part);
}

/* Length, with padding, and number of the record at a position. */
static u32 look_at(u64 position, u64 *seq)
{
	u8 head[FORKBUS_RECORD_HEAD] __aligned(8);

	copy_out(position, head, sizeof(head));
	*seq = forkbus_record_seq(head);
	return NLA_ALIGN(((struct nlattr *)head)->nla_len);
}

/* History makes room; what was not sent does not. */
static bool make_room(u32 len)
{
	u64 seq;

	while (ring.size - (u32)(ring.head - ring.tail) < len) {
		if (ring.tail == ring.sent)
			return false;
		ring.tail += look_at(ring.tail, &seq);
		ring.first_seq = seq + 1;
	}
	return true;
}

static bool append(struct forkbus_record *record, u64 now)
{
	u32 len = NLA_ALIGN(record->len);

	if (!make_room(len))
		return false;
	forkbus_record_seal(record, ++ring.last_seq, now);
	copy_in(ring.head, record->data, len);
	ring.head += len;
	return true;
}

static void lose(enum forkbus_type type, u64 now)
{
	ring.last_seq++;
	ring.lost[type]++;
	if (!ring.untold++)
		ring.untold_since = now;
}

/* What was lost is told before anything else is. Returns whether nothing is untold any more. */
static bool tell_lost(u64 now)
{
	struct forkbus_record record;
	u8 data[64] __aligned(8);

	if (!ring.untold)
		return true;
	forkbus_record_init(&record, FORKBUS_TYPE_LOST, data, sizeof(data));
	forkbus_put_u64(&record, FORKBUS_R_COUNT, ring.untold);
	forkbus_put_u64(&record, FORKBUS_R_SINCE, ring.untold_since);
	if (!append(&record, now))
		return false;
	ring.untold = 0;
	return true;
}

static unsigned long pace(u64 now)
{
	if (now - ring.pace_start > PACE_NSEC) {
		ring.busy = ring.pace_records > PACE_RECORDS;
		ring.pace_start = now;
		ring.pace_records = 0;
	}
	ring.pace_records++;
	return ring.busy ? nsecs_to_jiffies(PACE_NSEC) : 0;
}

void forkbus_ring_write(struct forkbus_record *record)
{
	unsigned long flags, delay;
	u64 now;

	raw_spin_lock_irqsave(&ring.lock, flags);
	now = ktime_get_boottime_ns();
	if (!tell_lost(now) || !append(record, now))
		lose(record->type, now);
	delay = pace(now);
	raw_spin_unlock_irqrestore(&ring.lock, flags);
	ring.wake(delay);
}

/* Copies one record, or passes over some. Returns the bytes copied; @more: go on. */
static size_t read_one(struct forkbus_reader *reader, void *to, size_t room, bool *more)
{
	size_t copied = 0;
	u32 len;
	u64 seq;

	if (reader->position < ring.tail)
		reader->position = ring.tail;
	for (unsigned int i = 0; i < SKIP_MAX && reader->position != ring.head && !copied; i++) {
		len = look_at(reader->position, &seq);
		if (seq > reader->seq) {
			if (len > room)
				break;
			copy_out(reader->position, to, len);
			copied = len;
			reader->seq = seq;
		}
		reader->position += len;
		*more = true;
	}
	return copied;
}

size_t forkbus_ring_read(struct forkbus_reader *reader, void *to, size_t room)
{
	size_t done = 0;
	bool more;

	do {
		more = false;
		raw_spin_lock_irq(&ring.lock);
		done += read_one(reader, to + done, room - done, &more);
		raw_spin_unlock_irq(&ring.lock);
	} while (more);
	return done;
}

void forkbus_ring_seek(struct forkbus_reader *reader, u64 seq)
{
	*reader = (struct forkbus_reader){ .seq = seq };
}

u32 forkbus_ring_unsent(struct forkbus_reader *reader)
{
	u32 unsent;

	raw_spin_lock_irq(&ring.lock);
	*reader = (struct forkbus_reader){ .position = ring.sent, .seq = ring.sent_seq };
	unsent = ring.head - ring.sent;
	raw_spin_unlock_irq(&ring.lock);
	return unsent;
}

void forkbus_ring_sent(const struct forkbus_reader *reader)
{
	raw_spin_lock_irq(&ring.lock);
	if (reader->position > ring.sent) {
		ring.sent = reader->position;
		ring.sent_seq = reader->seq;
		tell_lost(ktime_get_boottime_ns());
	}
	raw_spin_unlock_irq(&ring.lock);
}

void forkbus_ring_forget(void)
{
	raw_spin_lock_irq(&ring.lock);
	ring.sent = ring.head;
	ring.sent_seq = ring.last_seq;
	raw_spin_unlock_irq(&ring.lock);
}

void forkbus_ring_get_status(struct forkbus_ring_status *status)
{
	raw_spin_lock_irq(&ring.lock);
	*status = (struct forkbus_ring_status){
		.size = ring.size,
		.unsent = ring.head - ring.sent,
		.first = ring.first_seq,
		.last = ring.last_seq,
		.sent = ring.sent_seq,
	};
	memcpy(status->lost, ring.lost, sizeof(status->lost));
	raw_spin_unlock_irq(&ring.lock);
}
