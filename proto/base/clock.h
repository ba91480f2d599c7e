/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Clocks, units of time, and time spans as people write them.
 */

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)

/* Now, by a clock of clock_gettime(2), in µs. */
static inline uint64_t clock_usec(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_USEC;
}

/* Now, by CLOCK_MONOTONIC, in ns: the clock and the unit of the proc connector. */
static inline uint64_t monotonic_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static inline struct timeval usec_to_timeval(uint64_t usec)
{
	return (struct timeval){ (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };
}

/*
 * clock_shift_usec() - by how much "boottime" or "monotonic" is ahead of the initial time namespace, see time_namespaces(7)
 * What the kernel reports of processes has times of the initial one. Return: 0 there, and before Linux 5.6.
 */
int64_t clock_shift_usec(const char *clock);

/*
 * timespan_parse() - "90s", "5min", "1h 30min": numbers with the units us ms s min h d w, added up; a bare number is seconds
 * A number without a unit stands alone. Return: 0, or -EINVAL where it is not understood or reaches 2^63 µs.
 */
int timespan_parse(const char *text, uint64_t *usec);
