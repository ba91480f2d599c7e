/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_H
#define _FORKBUS_H

/*
 * What the parts of the module have of each other. Data goes one way: probes fill records, which go
 * into the ring, which netlink sends. Commands go the other way: netlink arms probes.
 */

#include <linux/cred.h>
#include <linux/path.h>
#include <linux/sched.h>
#include <net/netlink.h>

#include "forkbus_netlink.h"

#define FORKBUS_VERSION "0.1.0"

/*
 * From a task to a record: attributes, in a socket buffer of the processor that runs.
 *
 * A record is made with preemption disabled, from forkbus_record_begin() until it is in the
 * ring. Nothing in between sleeps or takes a lock that sleeps on PREEMPT_RT. All hooks run in process
 * context, and no hook is hit inside another, so that one buffer a processor serves. It holds the
 * longest record, so that no attribute ever lacks room.
 */

/* What each record begins with. Records are aligned to 4 bytes, as all attributes are. */
struct forkbus_head {
	struct nlattr nest, seq_attr;
	u64 seq;
	struct nlattr type_attr;
	u32 type;
	struct nlattr time_attr;
	u64 time;
} __packed __aligned(NLA_ALIGNTO);

#define forkbus_head(record) ((struct forkbus_head *)(record)->data)

/* Makes the buffers, where there are none. Sleeps; callers exclude each other. */
int forkbus_records_alloc(void);
void forkbus_records_free(void);

/* A buffer for one record, to be freed by kfree_skb(). */
struct sk_buff *forkbus_record_alloc(void);
/* Begins another record in a buffer: its head, to which the ring adds number and time. */
void forkbus_record_reset(struct sk_buff *record, enum forkbus_type type);

/*
 * The same in the processor's own buffer, with the identity of @task, if it is of one: TGID to
 * NS_TGID. @cred and @comm: as after the event; NULL: as they are. Disables preemption, which the
 * caller enables when the record is in the ring.
 */
struct sk_buff *forkbus_record_begin(enum forkbus_type type, struct task_struct *task,
				     const struct cred *cred, const char *comm);

/* Not padded to 8 bytes, so that every record begins with a forkbus_head. */
static inline void forkbus_put_u64(struct sk_buff *record, int attribute, u64 value)
{
	nla_put(record, attribute, sizeof(value), &value);
}

/* At most @max bytes with the NUL. Returns whether it was longer. */
bool forkbus_put_string(struct sk_buff *record, int attribute, const char *string, size_t max);
/* Nothing on PREEMPT_RT, where d_path() may sleep. */
void forkbus_put_path(struct sk_buff *record, int attribute, const struct path *path);
/* The first @max bytes of the arguments of the caller's program, as far as they are in memory. */
void forkbus_put_args(struct sk_buff *record, size_t max);

/* What the caller's whole process has used up to now. See usage.c. */
void forkbus_put_process_usage(struct sk_buff *record);
/* What the caller's thread has. */
void forkbus_put_thread_usage(struct sk_buff *record);

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

/* So many events had no chance to become records. */
void forkbus_ring_lose(enum forkbus_type type, u64 count, u64 since);

/* Copies whole records from where @reader stands, and moves it on. Returns the bytes copied. Sleeps. */
size_t forkbus_ring_read(struct forkbus_reader *reader, void *to, size_t room);

/* All before @reader is history from now on; NULL: all of it is. */
void forkbus_ring_sent(const struct forkbus_reader *reader);
struct forkbus_ring_status forkbus_ring_get_status(void);

/*
 * The places in the kernel where events happen. All of them are in process context; a probe writes
 * one record into the ring and goes on.
 */

/* Finds what this kernel has; nothing is armed. Sleeps. */
void forkbus_probes_init(void);
/* Disarms what is armed, and waits until no probe runs any more. */
void forkbus_probes_exit(void);

/* Types that there are hooks for, and those that are armed. To be read only. */
extern u32 forkbus_supported, forkbus_armed;

/*
 * Arms these types, and no others: those that were armed before and still are miss nothing
 * meanwhile. Writes a record that says so. An exec has so many bytes of @arguments. Called again, it
 * finds out whether kprobes still work, and counts what they have missed. Sleeps; callers exclude
 * each other.
 */
void forkbus_probes_arm(u32 types, u32 arguments);

/* The generic netlink family: who listens, what they want, and sending it to them. */

int forkbus_netlink_init(void);
/* Disarms all for good, sends what is left, and forgets all listeners. */
void forkbus_netlink_exit(void);

#endif
