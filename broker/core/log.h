/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The writer's side of the log (proto/log-format.h): queue of every subscriber, history for late ones, and what
 * survives a crash of the broker, in one mapped file.
 *
 * The broker reads its own log too, in the same thread that writes it, so what it reads needs no second look.
 */

#include "event.h"

struct log;

/* What a block holds, kept in memory so that a reader with a filter can pass over it. */
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

/* A place in the log. Cheap to make, stale as soon as the log passes it. */
struct log_place {
	uint64_t seq;	   /* of the record there */
	uint64_t position; /* in bytes, as in the file */
};

enum {
	_LOG_E_SUCCESS,
	LOG_E_BUSY, /* another broker holds the log of this directory */
	LOG_E_GONE, /* log_seek(): older than the tail */
	LOG_E_END,  /* no such record yet */
};

/* What became of a log that was there before. */
enum log_origin {
	LOG_NEW,      /* there was none */
	LOG_REOPENED, /* its epoch and content go on */
	LOG_REPLACED, /* it was not to be believed, or of another size: log_origin_reason() */
};

/*
 * log_open() - reopen the log at @path, or make a new one
 * @size: of the file in bytes, rounded down to whole blocks (at least LOG_BLOCKS_MIN of them)
 * @gid: the group that may read it, or (gid_t)-1 for the caller's own
 * A new one gets its name by rename(2) once it is whole.
 * Return: 0, LOG_E_BUSY, or a negative errno.
 */
int log_open(struct log **ret, const char *path, uint64_t size, unsigned int gid);
struct log *log_free(struct log *log);

enum log_origin log_origin(const struct log *log);
/* Why the old one was replaced, for people; "" otherwise. */
const char *log_origin_reason(const struct log *log);

/*
 * log_append() - write an event; its seq is set here
 * Never fails: the oldest block makes room. Who maps the log, or opens it after a crash, sees it from log_show() on at the
 * latest. Return: the sequence number.
 */
uint64_t log_append(struct log *log, struct fb_event *event);

/* log_show() - let all that was appended be seen; log_wake() does so too */
void log_show(struct log *log);

/*
 * Wake-ups are that far apart, at least; and, since one takes the writer some 2 µs a waiter, so much farther that it never
 * spends more than a few hundredths of its time on them, however many wait.
 */
#define LOG_WAKE_USEC	     1000
#define LOG_WAKE_WAITER_USEC 100

/*
 * log_wake() - wake those who wait at a mapping of the log for what was appended
 * To be called at the end of each batch: does nothing if nothing is new or if it is too early.
 * @now_usec: CLOCK_MONOTONIC
 * Return: 0, or in how many µs it must be called again, since somebody may wait.
 */
uint64_t log_wake(struct log *log, uint64_t now_usec);

/*
 * log_share() - a new descriptor of the file, for those who may see all
 * It is for reading only, and a mapping of it cannot be made writable. The file stays what it is until
 * log_free(), also when it has lost its name. Return: the descriptor, close-on-exec, or a negative errno.
 */
int log_share(const struct log *log);

uint64_t log_epoch(const struct log *log);
/* The oldest sequence number that is held, and the one that the next event gets; equal when the log is empty. */
uint64_t log_first(const struct log *log);
uint64_t log_next(const struct log *log);
uint64_t log_size(const struct log *log);
/* Bytes that records take. */
uint64_t log_used(const struct log *log);
/* timeUsec of the oldest and the latest event that have one, 0 if there is none. */
uint64_t log_first_time(const struct log *log);
uint64_t log_last_time(const struct log *log);

/* log_seek() - the place of a sequence number. Return: 0, LOG_E_GONE, LOG_E_END. */
int log_seek(const struct log *log, uint64_t seq, struct log_place *place);

/* log_seek_time() - the sequence number of the first event at or after a CLOCK_REALTIME; log_next() if all are older. */
uint64_t log_seek_time(const struct log *log, uint64_t time_usec);

/*
 * log_read() - the event at a place, and the place after it
 * Texts point into the log: valid until the next log_append(). Return: 0 or LOG_E_END.
 */
int log_read(const struct log *log, struct log_place *place, struct fb_event *event);

/*
 * log_skip() - pass over the rest of the block at a place if nothing in it can be wanted
 * @types: mask of types wanted; @uids: mask of log_uid_bit(), ~0 for any
 * source and lost are wanted always. Return: whether it passed.
 */
bool log_skip(const struct log *log, struct log_place *place, uint32_t types, uint64_t uids);
