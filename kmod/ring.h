/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_RING_H
#define _FORKBUS_RING_H

/*
 * One ring of records, in the order of their sequence numbers: queue and history.
 *
 * It holds records as they are sent, each a nest of netlink attributes. Between tail and sent lies
 * history, which makes room for new records; what lies between sent and head was not sent yet, and
 * stays. No room is a loss: counted, reported by a record of its own, and never waited for.
 *
 * One raw spinlock guards the positions, and is held while one record is written. Readers copy
 * without it, and look at the tail afterwards. All of it is in process context.
 */

#include "forkbus_netlink.h"
#include "record.h"

/* Where somebody reads. */
struct forkbus_reader {
	u64 position; /* in the ring; one that was overwritten means the oldest record */
	u64 seq;      /* everything up to here has been read */
};

struct forkbus_ring_status {
	u32 size;		    /* a power of two; 0: there is no ring */
	u32 unsent;		    /* bytes */
	struct forkbus_reader sent; /* what was not sent yet lies behind it */
	u64 first, last;	    /* sequence numbers */
	u64 lost[__FORKBUS_TYPE_MAX];
};

/*
 * Makes the ring, where there is none. Sleeps; callers exclude each other. @wake is called after each
 * record: readers may be left asleep for @delay jiffies.
 */
int forkbus_ring_alloc(void (*wake)(unsigned long delay));
void forkbus_ring_free(void);

/* Gives the record its number and time, writes it, and wakes readers: at once where little happens. */
void forkbus_ring_write(struct sk_buff *record);

/* Copies whole records from where @reader stands, and moves it on. Returns the bytes copied. Sleeps. */
size_t forkbus_ring_read(struct forkbus_reader *reader, void *to, size_t room);

/* All before @reader is history from now on; NULL: all of it is. */
void forkbus_ring_sent(const struct forkbus_reader *reader);
struct forkbus_ring_status forkbus_ring_get_status(void);

#endif
