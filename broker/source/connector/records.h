/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Taskstats records whose exit message has not been processed yet. The kernel sends the record of a thread before its exit,
 * so an exit finds its record here. The order in which records of different CPUs arrive has no meaning.
 */

#include <stddef.h>

#include "source/connector/proc-event.h"
#include "source/connector/taskstats.h"

struct records;

int records_new(struct records **ret);
/* NULL is fine. Return: NULL. */
struct records *records_free(struct records *records);
size_t records_count(const struct records *records);

/* records_add() - add a copy. Return: 0 or -ENOMEM. */
int records_add(struct records *records, const struct taskstats_record *record);

enum {
	_RECORD_E_SUCCESS,
	RECORD_E_NONE, /* there is no record for this exit */
};

/*
 * records_take() - the record of the thread that exited, or, since a thread that execs changes its id, the oldest of its
 * process
 * @fork_nsec: CLOCK_MONOTONIC of the process' fork, 0: unknown; distinguishes processes that had the same pid
 * Return: 0 or RECORD_E_NONE.
 */
int records_take(struct records *records, const struct cn_event *exit, uint64_t fork_nsec,
		 struct taskstats_record *ret);

/* records_peek() - the record that records_take() would return. Return: NULL if there is none. */
const struct taskstats_record *records_peek(struct records *records, const struct cn_event *exit,
					    uint64_t fork_nsec);

/*
 * records_take_older() - the oldest record that can be of a process that was forked at @fork_nsec, and whose pid another one got
 * at @next_nsec
 * Return: 0 or RECORD_E_NONE.
 */
int records_take_older(struct records *records, uint32_t tgid, uint64_t fork_nsec, uint64_t next_nsec,
		       struct taskstats_record *ret);
/* records_count_older() - how many there are; @in_order: whether the order of all of them is known */
size_t records_count_older(struct records *records, uint32_t tgid, uint64_t fork_nsec, uint64_t next_nsec,
			   bool *in_order);

/* record_outlives() - is it of a thread that lived longer than a process that was forked at this time, up to this exit? */
bool record_outlives(const struct taskstats_record *record, const struct cn_event *exit, uint64_t fork_nsec);

/* records_have() - is there one with this tgid? */
bool records_have(struct records *records, uint32_t tgid);

/* records_each() - call a function for each record */
typedef void (*records_fn)(const struct taskstats_record *record, void *userdata);
void records_each(const struct records *records, records_fn fn, void *userdata);

/* records_expire() - drop the records that arrived before this time of CLOCK_MONOTONIC, unless @keep returns true */
typedef bool (*records_keep_fn)(const struct taskstats_record *record, void *userdata);
void records_expire(struct records *records, uint64_t nsec, records_keep_fn keep, void *userdata);
