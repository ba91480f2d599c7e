/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Conversions between clocks. The offsets change with suspend and when the clock is set, so they are read repeatedly.
 */

#include <stdint.h>
#include <time.h>

#include "base/clock.h"

/*
 * clocks_read_offset() - update @offset_nsec to how far @clock is ahead of @base
 * There can be any delay between reading the two clocks: the quickest of a few readings is used, and if the previous offset
 * is within its error, the previous one is kept.
 */
void clocks_read_offset(uint64_t *offset_nsec, clockid_t clock, clockid_t base);

/* When they were read last. */
struct clocks {
	uint64_t boot_offset_nsec; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC */
	uint64_t real_offset_nsec; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
	uint64_t read_nsec;	   /* CLOCK_MONOTONIC */

	/* The last suspend: events from before may be read after it. */
	uint64_t suspended_nsec;  /* CLOCK_MONOTONIC; 0: none is known */
	uint64_t old_offset_nsec; /* boot_offset_nsec until then */
};

/*
 * clocks_read() - to be called with every batch, and from time to time without one
 * A suspend is taken to have been in the middle of the time since the last call: what came before the processes were frozen is
 * close to its beginning, what came after they went on close to its end, since the devices take longer.
 */
void clocks_read(struct clocks *clocks);

/* clocks_note() - the part of it that is for tests: CLOCK_MONOTONIC is @now, and CLOCK_BOOTTIME is so far ahead */
void clocks_note(struct clocks *clocks, uint64_t now, uint64_t boot_offset_nsec);

/* From CLOCK_MONOTONIC to CLOCK_BOOTTIME, and back: 0 for times before CLOCK_MONOTONIC began. */
static inline uint64_t clocks_boot_nsec(const struct clocks *clocks, uint64_t monotonic_nsec)
{
	return monotonic_nsec +
	       (monotonic_nsec < clocks->suspended_nsec ? clocks->old_offset_nsec : clocks->boot_offset_nsec);
}

uint64_t clocks_monotonic_nsec(const struct clocks *clocks, uint64_t boot_nsec);

/* clocks_real_usec() - from CLOCK_BOOTTIME to CLOCK_REALTIME, in microseconds */
static inline uint64_t clocks_real_usec(const struct clocks *clocks, uint64_t boot_nsec)
{
	return (boot_nsec + clocks->real_offset_nsec) / NSEC_PER_USEC;
}
