/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Notices to be shown.
 *
 * The queue has a small number of places, each with one notification, which is on the screen or waits to be sent. A place
 * has one notice until its notification is closed. If all places are taken, a new notice is added to the last place. The
 * queue only records the state; server.h sends the notifications. A place keeps its content while there is no server.
 *
 * During quiet hours notices are collected; one notice for all of them is added to the queue when the hours are over.
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
	bool pending;  /* it has content that is not sent yet */
	uint64_t sent; /* the number of the call that waits for its answer, 0: none */
	uint32_t id;   /* assigned by the server, 0: none yet */
	uint64_t sent_usec;
	unsigned int parts;   /* number of notices that are combined here */
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

/* queue_resize() - change the number of places; unsent notices of removed places are added to the last one */
void queue_resize(struct queue *queue, unsigned int n);

/* queue_add() - @tally: the notices that @notice combines, or NULL */
void queue_add(struct queue *queue, const struct notice *notice, const struct tally *tally, uint64_t now);

/*
 * queue_next() - find a place whose content is to be sent
 * @when: if there is none: when to call this again, UINT64_MAX: never
 * Return: the number of the place, or -1.
 */
int queue_next(const struct queue *queue, uint64_t now, uint64_t *when);

/* queue_describe() - the content of a place */
void queue_describe(const struct queue *queue, unsigned int place, struct notice *notice);

/* queue_sent() - the content was sent by the call with this number, which is not 0 */
void queue_sent(struct queue *queue, unsigned int place, uint64_t call, uint64_t now);

/* queue_shown() - the server answered the call with an id. Unknown calls are ignored, here and below. */
void queue_shown(struct queue *queue, uint64_t call, uint32_t id);

/* queue_refused() - the notification will not be shown. Notices that were added since are still sent. */
void queue_refused(struct queue *queue, uint64_t call);

/* queue_closed() - the server closed a notification; unknown ids are ignored */
void queue_closed(struct queue *queue, uint32_t id);

/* queue_reset() - the server is gone: nothing is on the screen, and unanswered notifications are sent again */
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
