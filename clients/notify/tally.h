/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Many ends of processes, as one thing to say: how many there were of each kind, and of which programs.
 */

#include "notice.h"

/* So many programs are named; of the others it is said how many there were. */
#define TALLY_NAMES 5

struct tally {
	uint64_t kinds[_KIND_MAX];
	uint64_t total, others;
	enum kind kind; /* the most remarkable one */
	enum urgency urgency;
	struct {
		char name[NOTICE_NAME_MAX];
		uint64_t count;
	} names[TALLY_NAMES];
	unsigned int n_names;
};

void tally_add(struct tally *tally, const struct notice *notice);

/* tally_merge() - all of another one too */
void tally_merge(struct tally *tally, const struct tally *other);

/* tally_describe() - @when: before all else in the summary, like "In quiet hours: "; @tally has one at least */
void tally_describe(const struct tally *tally, struct notice *notice, const char *when);
