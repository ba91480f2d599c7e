/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_RECORD_H
#define _FORKBUS_RECORD_H

/*
 * From a task to a record: attributes, in a socket buffer of the processor that runs.
 *
 * A record is made with preemption disabled, from forkbus_record_begin() to forkbus_record_end().
 * Nothing in between sleeps or takes a lock that sleeps on PREEMPT_RT. All hooks run in process
 * context, and no hook is hit inside another, so that one buffer a processor serves. It holds the
 * longest record, so that no attribute ever lacks room.
 */

#include <linux/cred.h>
#include <linux/path.h>
#include <linux/sched.h>
#include <net/netlink.h>

#include "forkbus_netlink.h"

/* What each record begins with. Records are aligned to 4 bytes, as all attributes are. */
struct forkbus_head {
	struct nlattr nest, seq_attr;
	u64 seq;
	struct nlattr type_attr;
	u32 type;
	struct nlattr time_attr;
	u64 time;
} __packed __aligned(NLA_ALIGNTO);

static inline struct forkbus_head *forkbus_head(struct sk_buff *record)
{
	return (struct forkbus_head *)record->data;
}

/* Makes the buffers, where there are none. Sleeps; callers exclude each other. */
int forkbus_records_alloc(void);
void forkbus_records_free(void);

/* A buffer for one record, to be freed by kfree_skb(). */
struct sk_buff *forkbus_record_alloc(void);
/* Begins another record in a buffer: its head, to which the ring adds number and time. */
void forkbus_record_reset(struct sk_buff *record, enum forkbus_type type);

/*
 * The same in the processor's own buffer, with the identity of @task, if it is of one: TGID to
 * NS_TGID. @cred and @comm: as after the event; NULL: as they are. Disables preemption.
 */
struct sk_buff *forkbus_record_begin(enum forkbus_type type, struct task_struct *task,
				     const struct cred *cred, const char *comm);
/* Enables preemption. */
void forkbus_record_end(void);

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

#endif
