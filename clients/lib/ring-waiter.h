/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The thread of a ring: waits at the log's word, and makes a descriptor readable when the log has grown. It does so only
 * for a reader that has asked; one that is busy reading is left alone, and lets the thread sleep.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "log-format.h"

struct ring_waiter {
	/* For the ring that owns it. */
	int event_fd;
	int end; /* atomic */

	const struct log_header *header; /* in the mapping */
	int file;
	uint64_t size; /* of the file */
	bool by_turns; /* the thread's: it cannot wait for two words at once */

	/* Atomic: where the reader stands, sealed; what it wants, with a number that goes up each time it asks. */
	uint64_t seen;
	uint32_t want;

	pthread_t thread;
	pid_t pid; /* 0: there is no thread */
};

/*
 * ring_waiter_start() - @file is looked at, and stays the caller's, as do the header and its mapping
 * Return: 0 or a negative errno; it is to be stopped then, too.
 */
int ring_waiter_start(struct ring_waiter *waiter, int file, const struct log_header *header, uint64_t size);
/* Also one that was never started, as long as it is zeroed and its event_fd is -1. */
void ring_waiter_stop(struct ring_waiter *waiter);

/*
 * ring_waiter_ask() - the descriptor shall become readable when the head is another than @position
 * The caller has to look at the head once more afterwards. Return: false where it was asked for that before.
 */
bool ring_waiter_ask(struct ring_waiter *waiter, uint64_t position);

/* ring_waiter_end() - 0; RING_E_REPLACED for a reader that has read all; a negative errno at once */
static inline int ring_waiter_end(const struct ring_waiter *waiter)
{
	return __atomic_load_n(&waiter->end, __ATOMIC_SEQ_CST);
}

/* ring_waiter_signal() - make the descriptor readable now */
void ring_waiter_signal(struct ring_waiter *waiter);
