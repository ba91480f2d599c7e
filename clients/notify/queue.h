/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Notices on their way to the screen.
 *
 * The queue is what is on the screen and what waits for it: a small number of places, one notification each. A place holds
 * one notice until it is closed; a notice that finds all places taken joins what the last place has. The queue only keeps
 * the books, server.h sends what is due. A place keeps its content while there is no server.
 *
 * Quiet hours come before it: they collect notices, and release one for all of them when they are over.
 *
 * Times are of CLOCK_MONOTONIC, in microseconds.
 */

#include <systemd/sd-event.h>

#include "notice.h"

/* The shortest time between two changes of the same notification. */
#define QUEUE_UPDATE_USEC UINT64_C(500000)

/* A server that never reports a closed notification is assumed to have closed one that is older. */
#define QUEUE_STALE_USEC UINT64_C(600000000)

struct queue_place {
	bool used;
	bool pending;  /* it has content that was not sent */
	uint64_t sent; /* the number of the call that the server has not answered, 0: none */
	uint32_t id;   /* of the server, 0: none yet */
	uint64_t sent_usec;
	unsigned int parts;   /* how many notices it stands for */
	struct notice notice; /* the first of them */
	struct tally tally;
};

struct queue {
	struct queue_place places[ON_SCREEN_MAX]; /* the last of them is the one at n - 1 */
	unsigned int n;
	bool reports_closed; /* this server reports closed notifications */
};

/* queue_init() - @n: places, from 1 to ON_SCREEN_MAX */
void queue_init(struct queue *queue, unsigned int n);

/* queue_resize() - another number of places; what was not sent and loses its place joins the last */
void queue_resize(struct queue *queue, unsigned int n);

/* queue_add() - @tally: the notices that it stands for, or NULL */
void queue_add(struct queue *queue, const struct notice *notice, const struct tally *tally, uint64_t now);

/*
 * queue_next() - a place whose content is to be sent
 * @when: if there is none yet: when to ask again, UINT64_MAX: never
 * Return: its number, or -1.
 */
int queue_next(const struct queue *queue, uint64_t now, uint64_t *when);

/* queue_describe() - the content of a place */
void queue_describe(const struct queue *queue, unsigned int place, struct notice *notice);

/* queue_sent() - it was sent by a call of this number, which is not 0 */
void queue_sent(struct queue *queue, unsigned int place, uint64_t call, uint64_t now);

/* queue_shown() - the server gave it an id. An unknown call is ignored, here and below. */
void queue_shown(struct queue *queue, uint64_t call, uint32_t id);

/* queue_refused() - it will not be shown. What was added meanwhile is still sent. */
void queue_refused(struct queue *queue, uint64_t call);

/* queue_closed() - the server closed one; an unknown id is ignored */
void queue_closed(struct queue *queue, uint32_t id);

/* queue_reset() - the server is gone: nothing is on the screen, and calls without an answer are sent again */
void queue_reset(struct queue *queue);

struct quiet {
	const struct hours *hours;
	sd_event_source *timer;
	struct tally tally;
	struct notice notice; /* the first one */
	void (*release)(const struct notice *notice, const struct tally *tally, void *userdata);
	void *userdata;
};

/* quiet_init() - @quiet: hours, release and userdata are set. Return: 0 or a negative errno. */
int quiet_init(struct quiet *quiet, sd_event *event);

void quiet_done(struct quiet *quiet);

void quiet_add(struct quiet *quiet, const struct notice *notice);

/* quiet_update() - call when the hours were changed */
void quiet_update(struct quiet *quiet);
