/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which process: pids are reused, a pid and a start are not. Different sources may give starts of one process that differ by
 * up to a tick of the clock (10 ms, see event_same_start()).
 */

#include "event.h"

struct process_id {
	uint32_t pid;	     /* thread group id, in the initial pid namespace */
	uint64_t start_usec; /* CLOCK_BOOTTIME of its start, µs; 0: unknown */
};

/* process_id_equal() - the same process, whichever source said so */
static inline bool process_id_equal(struct process_id a, struct process_id b)
{
	return a.pid == b.pid && event_same_start(a.start_usec, b.start_usec);
}
