/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_H
#define _FORKBUS_H

/*
 * The interfaces between the parts of the module. Data goes in one direction: probes fill records
 * and write them to the ring; netlink sends them. Commands go in the other direction: netlink arms
 * probes.
 */

#include <linux/cred.h>
#include <linux/path.h>
#include <linux/sched.h>
#include <net/netlink.h>

#include "forkbus_netlink.h"

#define FORKBUS_VERSION "0.1.0"

/*
 * Encodes a task as a record: attributes, in a socket buffer of the current processor.
 *
 * A record is made with preemption disabled, from forkbus_record_begin() until it is in the ring.
 * Nothing in between sleeps or takes a lock that sleeps on PREEMPT_RT. All hooks run in process
 * context, and no hook is hit inside another, so one buffer per processor is enough. It has room
 * for the longest record, so there is always room for an attribute.
 */

/* The beginning of each record. Records are aligned to 4 bytes, like all attributes. */
struct forkbus_head {
	struct nlattr nest, seq_attr;
	u64 seq;
	struct nlattr type_attr;
	u32 type;
	struct nlattr time_attr;
	u64 time;
} __packed __aligned(NLA_ALIGNTO);

#define forkbus_head(record) ((struct forkbus_head *)(record)->data)

/* Makes the buffers, if there are none. Sleeps; callers must not run at the same time. */
int forkbus_records_alloc(void);
void forkbus_records_free(void);

/* A buffer for one record, to be freed by kfree_skb(). */
struct sk_buff *forkbus_record_alloc(void);
/* Begins another record in a buffer: its head; the ring adds the number and the time. */
void forkbus_record_reset(struct sk_buff *record, enum forkbus_type type);

/*
 * The same in the processor's own buffer, with the identity of @task, if there is one: TGID to
 * NS_TGID. @cred and @comm: the values after the event; NULL: the current ones. Disables
 * preemption; the caller enables it when the record is in the ring.
 */
struct sk_buff *forkbus_record_begin(enum forkbus_type type, struct task_struct *task,
				     const struct cred *cred, const char *comm);

/* Of 4 or 8 bytes. Half of the cost of a record would be the checks of nla_put(). */
static inline void *forkbus_put(struct sk_buff *record, int attribute, u16 size)
{
	struct nlattr *nla = __skb_put(record, NLA_HDRLEN + size);

	*nla = (struct nlattr){ .nla_len = NLA_HDRLEN + size, .nla_type = attribute };
	return nla_data(nla);
}

static inline void forkbus_put_u32(struct sk_buff *record, int attribute, u32 value)
{
	*(u32 *)forkbus_put(record, attribute, sizeof(value)) = value;
}

/* Not padded to 8 bytes, so that every record begins with a forkbus_head. */
static inline void forkbus_put_u64(struct sk_buff *record, int attribute, u64 value)
{
	memcpy(forkbus_put(record, attribute, sizeof(value)), &value, sizeof(value));
}

/* At most @max bytes with the NUL. Returns whether it was longer. */
bool forkbus_put_string(struct sk_buff *record, int attribute, const char *string, size_t max);
/* Does nothing on PREEMPT_RT, where d_path() may sleep. */
void forkbus_put_path(struct sk_buff *record, int attribute, const struct path *path);
/* The first @max bytes of the arguments of the caller's program, as far as they are in memory. */
void forkbus_put_args(struct sk_buff *record, size_t max);

/* The usage of the caller's whole process up to now. See usage.c. */
void forkbus_put_process_usage(struct sk_buff *record);
/* The usage of the caller's thread. */
void forkbus_put_thread_usage(struct sk_buff *record);

/*
 * One ring of records, in the order of their sequence numbers: queue and history.
 *
 * It holds records in the form in which they are sent, each a nest of netlink attributes. Records
 * between tail and sent are history, and are overwritten by new records; records between sent and
 * head are unsent, and stay. If there is no room, events are lost: they are counted, and reported
 * by a separate record; a probe never waits for room.
 *
 * One raw spinlock guards the positions, and is held while one record is written. Readers copy
 * without the lock, and check the tail afterwards. All of this runs in process context.
 */

/* The position of a reader. */
struct forkbus_reader {
	u64 position; /* in the ring; one that was overwritten means the oldest record */
	u64 seq;      /* everything up to here has been read */
};

struct forkbus_ring_status {
	u32 size;		    /* a power of two; 0: no ring */
	u32 unsent;		    /* bytes */
	struct forkbus_reader sent; /* records after it are unsent */
	u64 first, last;	    /* sequence numbers */
	u64 lost[__FORKBUS_TYPE_MAX];
};

/*
 * Makes the ring, if there is none. Sleeps; callers must not run at the same time. @wake is called
 * after each record: readers may sleep for @delay more jiffies.
 */
int forkbus_ring_alloc(void (*wake)(unsigned long delay));
void forkbus_ring_free(void);

/*
 * Gives the record its number and time, writes it, and wakes readers: at once if there are few
 * events.
 */
void forkbus_ring_write(struct sk_buff *record);

/* Counts @n events that no hook reported as lost. */
void forkbus_ring_lose(enum forkbus_type type, u64 count, u64 since);

/*
 * Copies whole records from the position of @reader, and advances it. Returns the bytes copied.
 * Sleeps.
 */
size_t forkbus_ring_read(struct forkbus_reader *reader, void *to, size_t room);

/* All records before @reader are history from now on; NULL: all records. */
void forkbus_ring_sent(const struct forkbus_reader *reader);
struct forkbus_ring_status forkbus_ring_get_status(void);

/*
 * The places in the kernel where events happen. All of them are in process context; a probe writes
 * one record into the ring and returns.
 */

/* Finds the hooks that this kernel has; nothing is armed. Sleeps. */
void forkbus_probes_init(void);
/* Disarms all hooks, and waits until no probe runs any more. */
void forkbus_probes_exit(void);

/* Types that have hooks, and types that are armed. Only to be read. */
extern u32 forkbus_supported, forkbus_armed;

/*
 * Arms these types, and no others: types that were armed before and stay armed miss no events
 * meanwhile. Writes a record ARMED. An exec has up to @arguments bytes of arguments. If called
 * again, it checks whether kprobes still work, and counts the events that they have missed. Sleeps;
 * callers must not run at the same time.
 */
void forkbus_probes_arm(u32 types, u32 arguments);

/* The generic netlink family: the listeners, the types that they requested, and sending. */

int forkbus_netlink_init(void);
/* Disarms all hooks permanently, sends unsent records, and removes all listeners. */
void forkbus_netlink_exit(void);

#endif
