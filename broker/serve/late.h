/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connections of users who had their share of the time: a queue in which they wait for what they want to do. Their sockets are
 * not watched meanwhile: the kernel would report each of them to every turn of the loop, until its turn has come.
 */

#include <sys/queue.h>

struct event_base;

enum {
	LATE_READ = 1 << 0,
	LATE_WRITE = 1 << 1,
};

/* Embedded in a connection. */
struct late_entry {
	unsigned int what; /* 0: is not in the queue */
	unsigned int last; /* what it did last: the other thing comes first */
	TAILQ_ENTRY(late_entry) link;
};

struct late {
	struct event *turn;
	TAILQ_HEAD(, late_entry) entries;
	void (*run)(struct late_entry *entry, unsigned int what);
};

/* late_init() - @run: do one of the things; it may drop the entry. Return: 0 or -ENOMEM. */
int late_init(struct late *late, struct event_base *base,
	      void (*run)(struct late_entry *entry, unsigned int what));
/* The queue must be empty. A zeroed one is allowed. */
void late_done(struct late *late);

/* late_add() - @what: it waits for this, too */
void late_add(struct late *late, struct late_entry *entry, unsigned int what);
/* late_drop() - it no longer waits for this */
void late_drop(struct late *late, struct late_entry *entry, unsigned int what);
