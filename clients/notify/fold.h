/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is on the screen, and what is to come there: at most so many notifications. Each place but the last holds one notice
 * until it is closed; what finds no other place goes to the last one, together with what is there already. Bookkeeping alone:
 * server.h does what it says. Since each place waits for its server by itself, this is also what is held while there is none.
 *
 * Times are of CLOCK_MONOTONIC, in microseconds.
 */

#include "tally.h"

/* What is on the screen is changed no more often. */
#define FOLD_UPDATE_USEC UINT64_C(500000)

/* A server that never says that anything was closed has forgotten what is older. */
#define FOLD_STALE_USEC UINT64_C(600000000)

struct fold_place {
	bool used;
	bool pending;  /* there is something that was not sent */
	uint64_t sent; /* the number of the call that the server has not answered, 0: none */
	uint32_t id;   /* of the server, 0: none yet */
	uint64_t sent_usec;
	unsigned int parts;   /* so many were put together here */
	struct notice notice; /* the first of them */
	struct tally tally;
};

struct fold {
	struct fold_place places[CONF_ON_SCREEN_MAX]; /* the last of them is the one at n - 1 */
	unsigned int n;
	bool told_closed; /* this server says when one is closed */
};

/* fold_init() - @n: places, from 1 to CONF_ON_SCREEN_MAX */
void fold_init(struct fold *fold, unsigned int n);

/* fold_resize() - other places from now on; what was to come and has no place of its own any more goes to the last */
void fold_resize(struct fold *fold, unsigned int n);

/* fold_add() - @tally: what the notice stands for, if it does for many */
void fold_add(struct fold *fold, const struct notice *notice, const struct tally *tally, uint64_t now);

/*
 * fold_next() - a place whose content is to be sent
 * @when: where there is none yet: the time to ask again, UINT64_MAX: never
 * Return: its number, or -1.
 */
int fold_next(const struct fold *fold, uint64_t now, uint64_t *when);

/* fold_describe() - what is to be said there */
void fold_describe(const struct fold *fold, unsigned int place, struct notice *notice);

/* fold_sent() - it was sent by a call of this number, which is not 0 */
void fold_sent(struct fold *fold, unsigned int place, uint64_t call, uint64_t now);

/* fold_shown() - the server gave it an id. A call that nothing waits for is fine, here and below. */
void fold_shown(struct fold *fold, uint64_t call, uint32_t id);

/* fold_refused() - it will not be shown. What came meanwhile stays to be sent. */
void fold_refused(struct fold *fold, uint64_t call);

/* fold_closed() - the server closed one; an id that is not known is fine */
void fold_closed(struct fold *fold, uint32_t id);

/* fold_void() - the server is gone: what it showed is not on the screen, what it had not answered is to be sent again */
void fold_void(struct fold *fold);
