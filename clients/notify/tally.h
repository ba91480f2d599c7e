/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Many ends of processes in one notice: how many there were of each kind, and of which programs.
 */

#include "notice.h"

/* How many programs are named; the others are counted. */
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

/* tally_merge() - add all of another one */
void tally_merge(struct tally *tally, const struct tally *other);

/* tally_describe() - @when: how the summary begins, like "In quiet hours: "; @tally has one at least */
void tally_describe(const struct tally *tally, struct notice *notice, const char *when);
