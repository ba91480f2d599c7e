// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/clocks.h"

#define TRIES	  8
#define GOOD_NSEC (5 * NSEC_PER_USEC)

static uint64_t read_nsec(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

void clocks_read_offset(uint64_t *offset_nsec, clockid_t clock, clockid_t base)
{
	uint64_t best = UINT64_MAX, offset = 0, before, now, after;
	int64_t change;

	for (int i = 0; i < TRIES && best > GOOD_NSEC; i++) {
		before = read_nsec(base);
		now = read_nsec(clock);
		after = read_nsec(base);
		if (after - before >= best)
			continue;
		best = after - before;
		offset = now - (before + best / 2);
	}
	change = (int64_t)(offset - *offset_nsec);
	if (change > (int64_t)best || change < -(int64_t)best)
		*offset_nsec = offset;
}

void clocks_read(struct clocks *clocks)
{
	clocks_read_offset(&clocks->boot_offset_nsec, CLOCK_BOOTTIME, CLOCK_MONOTONIC);
	clocks_read_offset(&clocks->real_offset_nsec, CLOCK_REALTIME, CLOCK_BOOTTIME);
}
