/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All processes of a machine, as read from /proc, kept until they are processed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct proc_snapshot {
	unsigned char *data; /* owned: the structs that proc_snapshot_next() reads, one after the other */
	size_t size, max;
	size_t n;		       /* processes */
	int skipped;		       /* not all are in it: see procfs_scan() */
	uint64_t begin_nsec, end_nsec; /* CLOCK_MONOTONIC */
};

/* A process in a snapshot. */
struct proc_entry {
	struct fb_event event; /* texts within the snapshot */
	const uint32_t *tids;
	size_t n_tids;
};

/* proc_snapshot_take() - replaces the previous content; @proc: from procfs_open(). Return: 0 or a negative errno. */
int proc_snapshot_take(struct proc_snapshot *snapshot, int proc);
/* Frees what it holds; an empty one is fine. */
void proc_snapshot_done(struct proc_snapshot *snapshot);

/* proc_snapshot_next() - the process at *at; begin with 0. Return: whether there is one. */
bool proc_snapshot_next(const struct proc_snapshot *snapshot, size_t *at, struct proc_entry *entry);
