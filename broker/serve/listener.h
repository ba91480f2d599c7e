/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A listening Unix socket: the peer of each connection gets a place in the budget, or is refused. Where descriptors run out,
 * connections stay in the backlog until there are some again. And the timer of heartbeats.
 */

#include <event2/event.h>

#include "core/access.h"
#include "core/budget.h"
#include "serve/face.h"

struct listener;

struct listener_ops {
	/* @fd is taken, and so is the peer's place in the budget. */
	void (*accept)(void *userdata, int fd, const struct peer *peer);
	/* There is no place. @reason: BUDGET_E_USER or BUDGET_E_TOTAL. @fd stays the listener's: a message may be sent to it. */
	void (*refuse)(void *userdata, int fd, int reason);
	/* Some times in each interval of heartbeats. @now_usec: CLOCK_MONOTONIC */
	void (*tick)(void *userdata, uint64_t now_usec);
};

/*
 * listener_open() - bind to a path and listen there
 * Every user may connect; what a user sees is decided by access.c. A socket that is there already is replaced: the broker
 * that holds the log's lock is the only one of its directory. Return: the socket, or a negative errno.
 */
int listener_open(const char *path);

/* listener_new() - accept on a socket that listens. @fd is taken on success. Return: 0 or -ENOMEM. */
int listener_new(struct listener **ret, int fd, struct event_base *base, struct budget *budget,
		 const struct face_options *options, const struct listener_ops *ops, void *userdata);
/* NULL is fine. Return: NULL. */
struct listener *listener_free(struct listener *listener);

/* New options: the group whose members see all, for peers from now on, and the interval of heartbeats. */
void listener_set(struct listener *listener, const struct face_options *options);
