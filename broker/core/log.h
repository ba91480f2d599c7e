/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The writer's side of the log (proto/log-format.h): one mapped file, which is the queue of every subscriber, the history
 * for late subscribers, and survives a crash of the broker.
 *
 * The broker also reads its own log, in the same thread that writes it, so it does not have to check the records again. If the
 * file is cut meanwhile, reading it finds nothing more, and the next log_append() or log_show() begins a new file.
 */

#include "event.h"

struct log;

/* A summary of a block, kept in memory so that a reader with a filter can skip the block. */
struct log_summary {
	uint64_t first_seq;
	uint32_t n_records;
	uint32_t types;		 /* mask of EVENT_TYPE_BIT() */
	uint64_t uids;		 /* log_uid_bit() of each uid and old uid in it */
	uint64_t last_time_usec; /* latest timeUsec */
};

static inline uint64_t log_uid_bit(uint32_t uid)
{
	return UINT64_C(1) << (uid * UINT32_C(2654435769) >> 26);
}

/* A place in the log. Cheap to make, invalid when the log overwrites it. */
struct log_place {
	uint64_t seq;	   /* of the record there */
	uint64_t position; /* in bytes, as in the file */
};

enum {
	_LOG_E_SUCCESS,
	LOG_E_BUSY,    /* another broker holds the log of this directory */
	LOG_E_FOREIGN, /* other users own the directory or its lock, or may write there */
	LOG_E_GONE,    /* log_seek(): older than the tail */
	LOG_E_END,     /* no such record yet */
};

/* How log_open() treated an existing log. */
enum log_origin {
	LOG_NEW,      /* there was none */
	LOG_REOPENED, /* its epoch and content are continued */
	LOG_REPLACED, /* it was not valid, or had another size: log_origin_reason() */
};

/*
 * log_open() - reopen the log at @path, or make a new one
 * @size: of the file in bytes, rounded down to whole blocks (at least LOG_BLOCKS_MIN of them)
 * @gid: the group that may read it, or (gid_t)-1 for none
 * If another group could read the existing log, its content moves to a new file, and the old one ends for its readers.
 * A new one gets its name by rename(2) when it is complete.
 * Return: 0, LOG_E_BUSY, LOG_E_FOREIGN, or a negative errno.
 */
int log_open(struct log **ret, const char *path, uint64_t size, unsigned int gid);
struct log *log_free(struct log *log);

enum log_origin log_origin(const struct log *log);
/* Why the old log was replaced, for people; "" otherwise. */
const char *log_origin_reason(const struct log *log);

/*
 * log_append() - write an event; its seq is set here
 * Never fails: the oldest block is overwritten. Readers of the mapping, and a broker after a crash, see it after log_show()
 * at the latest. Return: the sequence number.
 */
uint64_t log_append(struct log *log, struct fb_event *event);

/* log_show() - make all appended records visible; log_wake() does this, too */
void log_show(struct log *log);

/*
 * The minimum time between wake-ups. A wake-up takes the writer some 2 µs per waiter, so with many waiters the time is
 * longer: the writer never spends more than a few hundredths of its time on them.
 */
#define LOG_WAKE_USEC	     1000
#define LOG_WAKE_WAITER_USEC 100

/*
 * log_wake() - wake the readers that wait at a mapping of the log, if there are new records
 * Call it at the end of each batch: it does nothing if there are none, or if it is too early.
 * @now_usec: CLOCK_MONOTONIC
 * Return: 0, or in how many µs to call it again, because there may be waiting readers.
 */
uint64_t log_wake(struct log *log, uint64_t now_usec);

/*
 * log_share() - a new descriptor of the file, for users who see all processes
 * It is read-only, and a mapping of it cannot be made writable. The file stays the same until log_free(), even if its name
 * was removed. Return: the descriptor, close-on-exec, or a negative errno.
 */
int log_share(const struct log *log);

uint64_t log_epoch(const struct log *log);
/* The oldest sequence number in the log, and that of the next event; equal if the log is empty. */
uint64_t log_first(const struct log *log);
uint64_t log_next(const struct log *log);
uint64_t log_size(const struct log *log);
/* The total size of the records. */
uint64_t log_used(const struct log *log);
/* timeUsec of the oldest and the latest event that have one, 0 if there is none. */
uint64_t log_first_time(const struct log *log);
uint64_t log_last_time(const struct log *log);

/* log_seek() - find the place of a sequence number. Return: 0, LOG_E_GONE, LOG_E_END. */
int log_seek(const struct log *log, uint64_t seq, struct log_place *place);

/* log_seek_time() - the sequence number of the first event at or after a CLOCK_REALTIME; log_next() if all are older. */
uint64_t log_seek_time(const struct log *log, uint64_t time_usec);

/*
 * log_read() - read the event at a place, and find the place after it
 * Texts point into the log: valid until the next log_append(). Return: 0 or LOG_E_END.
 */
int log_read(const struct log *log, struct log_place *place, struct fb_event *event);

/*
 * log_skip() - skip the rest of the block at a place if nothing in it can match
 * @types: mask of requested types; @uids: mask of log_uid_bit(), ~0 for any
 * source and lost always match. Return: whether it was skipped.
 */
bool log_skip(const struct log *log, struct log_place *place, uint32_t types, uint64_t uids);
