/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Does the kernel still send events? It has one count of listeners for all programs, so any program can make it stop, and no
 * error is reported. What gives it away is a taskstats record whose thread has ended, but whose exit message does not come.
 * All times are of CLOCK_MONOTONIC.
 */

#include "source/connector/thread-groups.h"

/* At most so many ends are looked up at a time. */
#define SILENCE_ENDS_MAX 512

struct silence {
	uint64_t messages; /* number read at the last check */
	uint64_t quiet_since_nsec;
	uint64_t
		covered_nsec; /* a silence before this time is already reported: older records do not show another one */
	uint64_t
		crowded_nsec; /* then messages came faster than they were read: older records were read late */
};

/* Records whose messages have not come. */
struct unheard {
	bool waits;	     /* there are some */
	uint64_t since_nsec; /* an exit is missing since then; 0: none, the threads have not ended yet */
	uint64_t past_nsec;  /* the same for an exit that will not come any more */
	unsigned int n;
	struct unheard_end {
		uint64_t arrival_nsec;
		struct cn_event exit; /* the message that did not come, as the record has it */
	} ends[SILENCE_ENDS_MAX];
};

void silence_init(struct silence *silence, uint64_t now);

/* silence_find() - find the threads that have ended without a message. All messages that have arrived must be published. */
void silence_find(const struct silence *silence, const struct groups *groups, uint64_t now,
		  struct unheard *unheard);

/* silence_is_due() - has no message arrived for two seconds, so that it should be tested? For a source without records. */
bool silence_is_due(struct silence *silence, uint64_t now, uint64_t messages);

/*
 * silence_provoke() - cause a message
 * The calling thread gives itself the name that it has. The message arrives before this returns, unless the kernel sends none.
 */
void silence_provoke(void);

/* silence_cover() - all losses up to now are reported: the records that have arrived show no other one */
void silence_cover(struct silence *silence, uint64_t now);
/* silence_crowd() - the same, where the loss was that of a socket that was full */
void silence_crowd(struct silence *silence, uint64_t now);

/* Has the exit been missing for a second, so that it will not come any more? */
bool unheard_is_overdue(const struct unheard_end *end, uint64_t now);
