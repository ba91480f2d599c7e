/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Does the kernel still send events? It has one count of listeners for all programs, so another program can make it stop,
 * and no error is reported. All times are of CLOCK_MONOTONIC.
 */

#include "source/connector/thread-groups.h"

struct silence {
	bool records;	   /* taskstats works, each exit has a record */
	uint64_t messages; /* number read at the last check */
	bool suspicious;   /* at the last check there were records without messages */
	uint64_t quiet_since_nsec, tested_nsec;
	uint64_t covered_nsec; /* a silence before this time is already reported: ignore older records */
};

void silence_init(struct silence *silence, bool records, uint64_t now);

/*
 * silence_check() - has the kernel stopped sending events?
 * @messages: number read in total; @records: number that arrived since the last call
 */
bool silence_check(struct silence *silence, uint64_t now, uint64_t messages, unsigned int records);

/*
 * silence_past() - find a silence that is over: the kernel sends events, but exits are missing whose records arrived.
 * Return: since when; 0: no exit is missing.
 */
uint64_t silence_past(const struct silence *silence, const struct groups *groups, uint64_t now);

/* silence_cover() - all losses up to now are reported: ignore the records that have arrived */
void silence_cover(struct silence *silence, uint64_t now);
