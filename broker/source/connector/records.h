/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Taskstats records that wait for the exit that they belong to. A thread's record is queued before its exit is, so that
 * an exit finds it here; in which order the records of several CPUs arrive says nothing.
 */

#include <stddef.h>

#include "source/connector/proc-event.h"
#include "source/connector/taskstats.h"

struct records;

int records_new(struct records **ret);
/* NULL is fine. Return: NULL. */
struct records *records_free(struct records *records);
size_t records_count(const struct records *records);

/* records_add() - copies. Return: 0 or -ENOMEM. */
int records_add(struct records *records, const struct taskstats_record *record);

enum {
	_RECORD_E_SUCCESS,
	RECORD_E_NONE, /* there is none for this exit */
};

/* An exit that was not seen itself, see groups_settle(). */
#define RECORD_ANY_CODE UINT32_MAX
#define RECORD_ANY_CPU	UINT32_MAX

/*
 * records_take() - the record of the thread that exited, or, since a thread that execs changes its id, the oldest of its
 * process
 * @fork_nsec: CLOCK_MONOTONIC of the process' fork, 0: not known; tells apart those who had the same pid
 * Return: 0 or RECORD_E_NONE.
 */
int records_take(struct records *records, const struct cn_event *exit, uint64_t fork_nsec,
		 struct taskstats_record *ret);

/* records_peek() - the one that records_take() would give. Return: NULL: none. */
const struct taskstats_record *records_peek(struct records *records, const struct cn_event *exit,
					    uint64_t fork_nsec);

/* records_each() - look at all that wait */
typedef void (*records_fn)(const struct taskstats_record *record, void *userdata);
void records_each(const struct records *records, records_fn fn, void *userdata);

/* records_expire() - drop those that arrived before a CLOCK_MONOTONIC, and that nobody wants to keep */
typedef bool (*records_keep_fn)(const struct taskstats_record *record, void *userdata);
void records_expire(struct records *records, uint64_t nsec, records_keep_fn keep, void *userdata);
