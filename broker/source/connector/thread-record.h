/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which records are those of a process? A pid can be used again before the last exit is reported, and messages or records can be
 * missing: what may be of another process is not used.
 */

#include "source/connector/proc-event.h"
#include "source/connector/records.h"
#include "source/connector/thread-group.h"

/* An exit is published soon after it was read: older losses of records do not matter. */
#define RECORD_LOSSES 8

struct thread_records {
	bool enabled; /* taskstats works, each exit has a record */
	struct records *waiting;
	uint64_t lost_nsec; /* when messages were last lost; 0: never */
	/* The last times between which records were made that are missing, a ring; 0: none */
	struct {
		uint64_t since_nsec, until_nsec;
	} losses[RECORD_LOSSES];
	unsigned int n_losses;
};

/* thread_records_lost() - records are missing that were made between these times */
void thread_records_lost(struct thread_records *records, uint64_t since_nsec, uint64_t until_nsec);

/* thread_record_is_doubtful() - may this record be of a process that had the pid before? */
bool thread_record_is_doubtful(const struct thread_records *records, const struct group *group,
			       const struct taskstats_record *record);

/*
 * thread_record_take() - the record of a thread that ended; @group: NULL if its process is not known
 * Return: false if there is none, or one that may be of another process with this pid, which is dropped.
 */
bool thread_record_take(struct thread_records *records, const struct group *group,
			const struct cn_event *event, struct taskstats_record *record);

/* thread_record_peek() - the record of an exit that was heard; NULL: there is none, or it may be another process'. */
const struct taskstats_record *thread_record_peek(struct thread_records *records, const struct group *group,
						  const struct cn_event *exit);

/*
 * thread_records_settle() - use the records of those threads whose exits did not come, of a process that ended before @nsec
 * Return: false if they may be another process'.
 */
bool thread_records_settle(struct thread_records *records, struct group *group, uint64_t nsec);

/* thread_records_may_be_older() - may any of them be of a process whose pid another one got at @nsec? */
bool thread_records_may_be_older(const struct thread_records *records, const struct group *group,
				 uint64_t nsec);
