// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/clocks.h"

#define TRIES	  8
#define GOOD_NSEC (5 * NSEC_PER_USEC)

/* No suspend is shorter; a correction of the offset may be as large. */
#define SUSPEND_MIN_NSEC (1 * NSEC_PER_MSEC)

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

void clocks_note(struct clocks *clocks, uint64_t now, uint64_t boot_offset_nsec)
{
	if (clocks->read_nsec && boot_offset_nsec > clocks->boot_offset_nsec + SUSPEND_MIN_NSEC) {
		clocks->suspended_nsec = clocks->read_nsec + (now - clocks->read_nsec) / 2;
		clocks->old_offset_nsec = clocks->boot_offset_nsec;
	}
	clocks->boot_offset_nsec = boot_offset_nsec;
	clocks->read_nsec = now;
}

uint64_t clocks_monotonic_nsec(const struct clocks *clocks, uint64_t boot_nsec)
{
	uint64_t nsec = boot_nsec > clocks->boot_offset_nsec ? boot_nsec - clocks->boot_offset_nsec : 0;

	if (nsec >= clocks->suspended_nsec)
		return nsec;
	nsec = boot_nsec > clocks->old_offset_nsec ? boot_nsec - clocks->old_offset_nsec : 0;
	return nsec < clocks->suspended_nsec ? nsec : clocks->suspended_nsec;
}

void clocks_read(struct clocks *clocks)
{
	uint64_t offset = clocks->boot_offset_nsec;

	clocks_read_offset(&offset, CLOCK_BOOTTIME, CLOCK_MONOTONIC);
	clocks_note(clocks, monotonic_nsec(), offset);
	clocks_read_offset(&clocks->real_offset_nsec, CLOCK_REALTIME, CLOCK_BOOTTIME);
}
