/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_RECORD_H
#define _FORKBUS_RECORD_H

/*
 * From a task to a record: attributes, in a buffer of the processor that runs.
 *
 * A record is made with preemption disabled, from forkbus_record_begin() to forkbus_record_end().
 * Nothing in between sleeps or takes a lock that sleeps on PREEMPT_RT. All hooks run in process
 * context, and no hook is hit inside another, so that one buffer a processor serves.
 */

#include <linux/cred.h>
#include <linux/path.h>
#include <linux/sched.h>

#include "forkbus_netlink.h"

struct forkbus_record {
	enum forkbus_type type;
	u16 len, max;
	u8 *data;
};

/* Makes the buffers, where there are none. Sleeps; callers exclude each other. */
int forkbus_records_alloc(void);
void forkbus_records_free(void);

/* A record in a buffer of the caller's, with its type, and room for number and time. */
void forkbus_record_init(struct forkbus_record *record, enum forkbus_type type, void *data,
			 size_t size);

/* The same in the processor's own buffer. Disables preemption. */
struct forkbus_record *forkbus_record_begin(enum forkbus_type type);
/* Enables preemption. */
void forkbus_record_end(struct forkbus_record *record);

void forkbus_put_u32(struct forkbus_record *record, int attribute, u32 value);
void forkbus_put_u64(struct forkbus_record *record, int attribute, u64 value);
void forkbus_put_flag(struct forkbus_record *record, int attribute);
/* At most @max bytes with the NUL. Returns whether it was longer. */
bool forkbus_put_string(struct forkbus_record *record, int attribute, const char *string,
			size_t max);
/* Nothing on PREEMPT_RT, where d_path() may sleep. */
void forkbus_put_path(struct forkbus_record *record, int attribute, const struct path *path);
/* The first @max bytes of the arguments of the caller's program, as far as they are in memory. */
void forkbus_put_args(struct forkbus_record *record, size_t max);

/* Whose it is: TGID to NS_TGID. @comm: as after the event; NULL: the leader's as it is. */
void forkbus_put_identity(struct forkbus_record *record, struct task_struct *task,
			  const struct cred *cred, const char *comm);

/* Number and time, which the ring gives. */
void forkbus_record_seal(struct forkbus_record *record, u64 seq, u64 time);

/* The number of a record whose first FORKBUS_RECORD_HEAD bytes are at @data. */
#define FORKBUS_RECORD_HEAD 16
u64 forkbus_record_seq(const void *data);

#endif
