/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The thread of a ring waits on the log's futex, and makes a descriptor readable when the log has grown. It does so only
 * after the reader has asked; while the reader is busy reading, the thread sleeps.
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

	const struct log_header *header; /* mapped, only for the address of its futex */
	int file;
	uint64_t size; /* of the file */
	bool by_turns; /* used by the thread alone: it cannot wait for two futexes at once */

	/* Atomic: the reader's position, sealed; what it wants, with a number that increases with each request. */
	uint64_t seen;
	uint32_t want;

	pthread_t thread;
	pid_t pid; /* 0: there is no thread */
};

/*
 * ring_waiter_start() - start the thread; @file and the mapped @header stay the caller's
 * Return: 0 or a negative errno; call ring_waiter_stop() in either case.
 */
int ring_waiter_start(struct ring_waiter *waiter, int file, const struct log_header *header, uint64_t size);
/* Also valid for a waiter that was never started, if it is zeroed and its event_fd is -1. */
void ring_waiter_stop(struct ring_waiter *waiter);

/*
 * ring_waiter_ask() - make the descriptor readable when the head is no longer at @position
 * The caller must look at the head once more afterwards. Return: false if it asked for the same before.
 */
bool ring_waiter_ask(struct ring_waiter *waiter, uint64_t position);

/* ring_waiter_end() - 0; RING_E_REPLACED, which applies once all is read; a negative errno, which applies at once */
static inline int ring_waiter_end(const struct ring_waiter *waiter)
{
	return __atomic_load_n(&waiter->end, __ATOMIC_SEQ_CST);
}

/* ring_waiter_signal() - make the descriptor readable now */
void ring_waiter_signal(struct ring_waiter *waiter);
