/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Measures the turns of the event loop. A turn begins when the loop has waited for events, and ends when it waits again: as
 * long as it lasts, the loop looks at no source.
 *
 * A turn in which the thread did not block lasts as long as it used a processor: what other threads, interrupts, or other
 * guests of a hypervisor take is not its doing. If it blocked, the time on a clock counts, without the time in which the
 * thread was ready but other threads had the processor.
 */

#include <stdint.h>

struct turn {
	uint64_t longest_nsec; /* since the start */
	uint64_t recent_nsec;  /* since turn_forget_recent() */

	uint64_t cpu_nsec;   /* of this thread, when the turn began */
	long blocked;	     /* how often the thread had blocked then */
	uint64_t began;	     /* CLOCK_MONOTONIC; 0: no turn has begun */
	uint64_t delayed;    /* how long this thread has waited for a processor in its life, in ns */
	uint64_t delayed_at; /* when this was read */
	int schedstat;	     /* the file with this number; -1: there is none */
};

/*
 * turn_watch() - measure the turns of the loop that runs in the calling thread from now on; NULL: do not measure
 * One loop in the program can be measured.
 */
void turn_watch(struct turn *turn);

/* turn_done() - the memory can be used for something else */
void turn_done(struct turn *turn);

/* turn_forget_recent() - recent_nsec begins again */
void turn_forget_recent(struct turn *turn);

/* turn_begin(), turn_end() - before and after what is measured. @now: monotonic_nsec() */
void turn_begin(struct turn *turn, uint64_t now);
void turn_end(struct turn *turn, uint64_t now);
