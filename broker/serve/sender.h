/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who sends at the end of a turn of the loop: all of a face that have something to say, together (sends.h), a piece each at a
 * time, until it is said or their sockets are full.
 *
 * Where that takes long, since there are many, the next time waits for more to be said: so that sending takes no more than a
 * tenth of the time, as far as a wait of face_options.coalesce_usec makes it so.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "serve/face.h"
#include "serve/sends.h"

struct bus;
struct event_base;
struct sender;
struct senders;

struct sender_ops {
	/*
	 * piece() - add to @op what it sends next
	 * From a cursor, at most one peek: valid until all of views_kept() have been asked, and have sent.
	 * Return: 0, with nothing added if there is nothing for now; -EAGAIN if there may be in the loop's next turn; another
	 * negative errno: it is to go.
	 */
	int (*piece)(struct sender *sender, struct sends_op *op);
	/* sent() - so many bytes of it went out, 0 and more. Return: 0; a negative errno: it is to go. */
	int (*sent)(struct sender *sender, const struct sends_op *op, size_t n);
	/* wait() - and be due again when its socket takes more. @full: it takes nothing now. */
	void (*wait)(struct sender *sender, bool full);
	/* go() - free it */
	void (*go)(struct sender *sender);
};

/* Embedded in a connection. */
struct sender {
	struct senders *senders;
	int fd;
	bool due;
	size_t turn_size; /* bytes that went out since it became due */
	TAILQ_ENTRY(sender) link;
};

/* @options: looked at each time */
int senders_new(struct senders **ret, struct event_base *base, const struct bus *bus,
		const struct face_options *options, const struct sender_ops *ops);
/* All of them must be gone. NULL is fine. Return: NULL. */
struct senders *senders_free(struct senders *senders);

/* senders_run() - send for all who are due, now. Some may go. */
void senders_run(struct senders *senders);

/* sender_due() - it may have something to send, in this turn of the loop */
void sender_due(struct sender *sender);
/* sender_wake() - there is something new for it, that may wait for more */
void sender_wake(struct sender *sender);
/* Not any more: it goes. */
void sender_not_due(struct sender *sender);
