/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Long work in the loop is done in slices, so that a source never waits long. A slice ends by time, since what one step costs
 * depends on what subscribers ask for.
 *
 *	struct slice slice = slice_begin(SLICE_NSEC);
 *
 *	while (there is more && !slice_is_over(&slice, SLICE_CHEAP))
 *		one step;
 */

#include <stdbool.h>

#include "base/clock.h"

#define SLICE_NSEC (250 * NSEC_PER_USEC)

/* The clock is read after this many cheap steps (below 1 µs), or after every dear one. */
#define SLICE_STEPS 16
#define SLICE_CHEAP 1
#define SLICE_DEAR  SLICE_STEPS

/* After this, a turn of the loop begins no more work that can wait. */
#define SLICE_TURN_NSEC (2 * SLICE_NSEC)

/* CLOCK_MONOTONIC when the turn began; 0: nobody measures it. */
extern uint64_t slice_turn_began;

static inline bool slice_turn_is_over(uint64_t now)
{
	return slice_turn_began && now - slice_turn_began >= SLICE_TURN_NSEC;
}

struct slice {
	uint64_t until;	    /* CLOCK_MONOTONIC, in ns */
	unsigned int steps; /* since the clock was read */
};

static inline struct slice slice_begin(uint64_t nsec)
{
	return (struct slice){ .until = monotonic_nsec() + nsec };
}

/* slice_is_over() - to be asked before each step. @weight: of the step before. The first step is always made. */
static inline bool slice_is_over(struct slice *slice, unsigned int weight)
{
	slice->steps += weight;
	if (slice->steps <= SLICE_STEPS)
		return false;
	slice->steps = 0;
	return monotonic_nsec() >= slice->until;
}
