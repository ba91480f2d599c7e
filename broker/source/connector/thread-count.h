/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which threads a scan of /proc has counted, or were forked since, while messages of the same time wait to be published: the
 * fork of a thread that the scan counted is not counted again, and the exit of a thread that was neither counted nor forked since
 * is ignored.
 */

#include <stdbool.h>
#include <stdint.h>

#include "source/pool.h"
#include "source/recent.h"

struct counted;

struct thread_count {
	bool active;
	uint64_t number;	       /* of the scan, from 1 */
	uint64_t begin_nsec, end_nsec; /* of the scan, CLOCK_MONOTONIC */
	struct counted *threads;
	struct pool pool;
	struct recent
		exited; /* not leaders: by tid, with their tgid as the start; with time 0: the id is in use again */
	uint64_t latest_nsec; /* of the latest exit */
};

/* thread_count_init() - Return: 0 or -ENOMEM; call thread_count_done() in either case. */
int thread_count_init(struct thread_count *count);
void thread_count_done(struct thread_count *count);

void thread_count_begin(struct thread_count *count, uint64_t begin_nsec, uint64_t end_nsec);
void thread_count_end(struct thread_count *count);

/* thread_count_has() - was this thread counted? Not if it was forked after the scan: then its id is used again. */
bool thread_count_has(const struct thread_count *count, uint32_t tgid, uint32_t tid, uint64_t fork_nsec);
/* thread_count_add() - Return: 0 or -ENOMEM. */
int thread_count_add(struct thread_count *count, uint32_t tgid, uint32_t tid);
/* thread_count_drop() - its exit. Return: whether it was counted. */
bool thread_count_drop(struct thread_count *count, uint32_t tgid, uint32_t tid);

/* Exits and forks of threads, also while nothing is counted. */
void thread_count_note_exit(struct thread_count *count, uint32_t tgid, uint32_t tid, uint64_t nsec);
void thread_count_note_fork(struct thread_count *count, uint32_t tgid, uint32_t tid);
/* thread_count_exited() - was its exit reported lately? /proc may show it for a moment longer. */
bool thread_count_exited(const struct thread_count *count, uint32_t tgid, uint32_t tid);
