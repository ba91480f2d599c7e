/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The latest processes, found by pid. It keeps as many as fit; while a scan of /proc runs, it keeps all since the scan
 * began, up to a limit.
 */

#include <stdbool.h>
#include <stddef.h>

#include "process-id.h"

#define RECENT_SIZE	1024
#define RECENT_SIZE_MAX 65536
#define RECENT_BUCKETS	1024

struct recent_entry {
	struct process_id id;
	uint64_t nsec;	   /* when */
	uint64_t previous; /* number of the one before in its bucket */
};

struct recent {
	struct recent_entry *entries; /* owned; ring */
	size_t size;
	uint64_t n;			/* number of the latest, from 1 */
	uint64_t kept;			/* numbers after this must not be dropped; UINT64_MAX: all may */
	bool dropped;			/* and yet some were */
	uint64_t heads[RECENT_BUCKETS]; /* number of the latest of each bucket, 0: none */
};

/* recent_init() - Return: 0 or -ENOMEM; call recent_done() in either case. */
int recent_init(struct recent *recent);
void recent_done(struct recent *recent);

/* recent_keep() - from now on all must be kept; or (@keep false) as many as fit again */
void recent_keep(struct recent *recent, bool keep);

void recent_add(struct recent *recent, struct process_id id, uint64_t nsec);

/* recent_find() - the latest with this pid before @after; NULL as @after: the latest of all. NULL: none. */
const struct recent_entry *recent_find(const struct recent *recent, uint32_t pid,
				       const struct recent_entry *after);
