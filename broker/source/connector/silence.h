/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Does the kernel still send events? Another program can make it stop, and it reports no error: there is one count of
 * listeners for all. All times are of CLOCK_MONOTONIC.
 */

#include "source/connector/thread-groups.h"

struct silence {
	bool records;	   /* taskstats works, each exit has a record */
	uint64_t messages; /* that had been read at the last check */
	bool suspicious;   /* and records had come without messages */
	uint64_t quiet_since_nsec, tested_nsec;
	uint64_t covered_nsec; /* a silence before this time is already reported: ignore older records */
};

void silence_init(struct silence *silence, bool records, uint64_t now);

/*
 * silence_check() - has the kernel stopped sending events?
 * @messages: how many were ever read; @records: how many have arrived since the last call
 */
bool silence_check(struct silence *silence, uint64_t now, uint64_t messages, unsigned int records);

/*
 * silence_past() - since when exits are missing although their records have arrived and the kernel sends events; 0: no exit
 * is missing
 */
uint64_t silence_past(const struct silence *silence, const struct groups *groups, uint64_t now);

/* silence_cover() - up to now all is reported as lost that was: what the records that have arrived say of it is known */
void silence_cover(struct silence *silence, uint64_t now);
