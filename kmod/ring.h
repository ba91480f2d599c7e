/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_RING_H
#define _FORKBUS_RING_H

/*
 * One ring of records, in the order of their sequence numbers: queue and history.
 *
 * It holds records as they are sent, each a nest of netlink attributes. Between tail and sent lies
 * history, which makes room for what comes; between sent and head lies what nobody was sent yet,
 * which stays. No room is a loss: counted, told by a record of its own, and never waited for.
 *
 * All of it is guarded by one raw spinlock, held with interrupts off for one record at a time, so
 * that probes may write in any context, on PREEMPT_RT too.
 */

#include "forkbus_netlink.h"
#include "record.h"

/* Where somebody reads. */
struct forkbus_reader {
	u64 position; /* in the ring; one that was overwritten means the oldest record */
	u64 seq;      /* everything up to here has been read */
};

struct forkbus_ring_status {
	u32 size, unsent;
	u64 first, last, sent; /* sequence numbers */
	u64 lost[__FORKBUS_TYPE_MAX];
};

/* @wake is called after each record: readers may be left asleep for @delay jiffies. */
void forkbus_ring_init(void (*wake)(unsigned long delay));
/* Makes the ring, where there is none. Sleeps; callers exclude each other. */
int forkbus_ring_alloc(void);
void forkbus_ring_free(void);

/* Gives the record its number and time, writes it, and wakes readers: at once where little happens. */
void forkbus_ring_write(struct forkbus_record *record);

/* Copies whole records from where @reader stands, and moves it on. Returns the bytes copied. */
size_t forkbus_ring_read(struct forkbus_reader *reader, void *to, size_t room);

/* A reader of all that has a number above @seq and is still there. */
void forkbus_ring_seek(struct forkbus_reader *reader, u64 seq);
/* A reader of what was not sent yet. Returns the bytes that there are. */
u32 forkbus_ring_unsent(struct forkbus_reader *reader);
/* All before @reader is history from now on. */
void forkbus_ring_sent(const struct forkbus_reader *reader);
/* All of it is. */
void forkbus_ring_forget(void);

void forkbus_ring_get_status(struct forkbus_ring_status *status);

#endif
