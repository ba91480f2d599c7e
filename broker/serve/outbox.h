/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The outboxes of one face. At the end of a turn of the loop all that hold something send together (send-batch.h), a piece
 * each at a time, until they are empty or their sockets are full.
 *
 * Where that takes long, since there are many, the next time waits for more: so that sending takes no more than a
 * tenth of the time, as far as a wait of face_options.coalesce_usec makes it so.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "serve/face.h"
#include "serve/send-batch.h"

struct hub;
struct event_base;
struct outbox;
struct outboxes;

struct outbox_ops {
	/*
	 * piece() - add to @op what it sends next
	 * From a cursor, at most one peek: valid until all of views_kept() have been asked, and have sent.
	 * Return: 0, with nothing added if there is nothing for now; -EAGAIN if there may be in the loop's next turn; another
	 * negative errno: it is to be closed.
	 */
	int (*piece)(struct outbox *outbox, struct send_op *op);
	/* sent() - so many bytes of it went out, 0 and more. Return: 0; a negative errno: it is to be closed. */
	int (*sent)(struct outbox *outbox, const struct send_op *op, size_t n);
	/* wait() - and be due again when its socket takes more. @full: it takes nothing now. */
	void (*wait)(struct outbox *outbox, bool full);
	/* close() - free what it belongs to */
	void (*close)(struct outbox *outbox);
};

/* Embedded in a connection. */
struct outbox {
	struct outboxes *outboxes;
	int fd;
	bool due;
	size_t turn_size; /* bytes that went out since it became due */
	TAILQ_ENTRY(outbox) link;
};

/* @options: looked at each time */
int outboxes_new(struct outboxes **ret, struct event_base *base, const struct hub *hub,
		 const struct face_options *options, const struct outbox_ops *ops);
/* All outboxes must be closed. NULL is fine. Return: NULL. */
struct outboxes *outboxes_free(struct outboxes *outboxes);

/* outboxes_run() - send for all that are due, now. Some may be closed. */
void outboxes_run(struct outboxes *outboxes);

/* outbox_due() - it may have something to send, in this turn of the loop */
void outbox_due(struct outbox *outbox);
/* outbox_wake() - there is something new for it, that may wait for more */
void outbox_wake(struct outbox *outbox);
/* outbox_not_due() - it is freed */
void outbox_not_due(struct outbox *outbox);
