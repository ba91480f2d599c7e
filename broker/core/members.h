/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A set of processes, while a log is read: 16 bytes each, in one table. */

#include "process-id.h"

/* Zeroed: empty. */
struct members {
	struct process_id *slots; /* pid 0: free. At most half of them are used. */
	size_t n;
	unsigned int bits;
};

void members_done(struct members *members);

/* members_size() - its memory, in bytes */
size_t members_size(const struct members *members);

/* members_end() - how many places there are; those of members have a pid */
static inline size_t members_end(const struct members *members)
{
	return members->slots ? (size_t)1 << members->bits : 0;
}

/* members_add() - Return: 0 or -ENOMEM. */
int members_add(struct members *members, struct process_id id);

/*
 * members_find() - the member with this pid and start
 * A start of 0, on either side, is unknown, and any is the same. Return: NULL if there is none; valid until the next change.
 */
struct process_id *members_find(const struct members *members, struct process_id id);

/* members_remove() - the one that members_find() has found */
void members_remove(struct members *members, struct process_id *member);

/* members_replace() - a process with this pid and start begins: earlier ones with this pid are no longer members */
void members_replace(struct members *members, struct process_id id);
