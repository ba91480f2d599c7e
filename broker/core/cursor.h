/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The position of a subscriber: apart from the socket, this is all that a subscriber costs. Faces get the next bytes from it,
 * and report how many were sent. It tracks the place in the log, losses, the snapshot and heartbeats:
 *
 *   the snapshot, if requested -> ready -> the log from there on, with a lost event if the log was overwritten
 */

#include <sys/queue.h>

#include "budget.h"
#include "hub.h"
#include "past.h"
#include "request.h"
#include "view.h"

enum cursor_phase {
	CURSOR_REBUILD,	 /* finds the past of a tree */
	CURSOR_SNAPSHOT, /* walks the table */
	CURSOR_READY,	 /* sends its position */
	CURSOR_STREAM,	 /* the log, from next on */
};

struct cursor {
	struct hub *hub;
	struct budget_account *account; /* NULL: nothing is counted */
	size_t filter_size, label_size; /* taken from it */
	struct view_reader reader;
	enum cursor_phase phase;
	bool snapshot;
	uint64_t next;		 /* the sequence number that it gets next */
	uint64_t position;	 /* the log's end when it began */
	struct past_reader past; /* of the view's label, until it has read so far */
	size_t slot;		 /* CURSOR_SNAPSHOT: in the table */

	/* Events that were already missing at the start: reported once, after ready. */
	const char *gap_reason; /* NULL: none */
	uint64_t gap_since_usec;

	/* Its own lines (encoded events), or the rest of a shared one that was begun: sent first. NULL if there are none */
	char *own;
	size_t own_at, own_end;
	struct view_lines lines; /* the last result of cursor_peek(), if not @own */

	void (*wake)(struct cursor *cursor); /* there may be something to send */
};

/*
 * cursor_init() - start a request
 * Takes the request's filter. What it uses is counted in @account, which must outlive it; NULL: not at all.
 * A "since" that is older than the log, or of another epoch, is not an error: a lost event reports it.
 * Return: 0; FILTER_E_INVALID, with @error set, if a pid does not live, "since" is in the future, or the account has no
 * room; or -ENOMEM.
 */
int cursor_init(struct cursor *cursor, struct hub *hub, struct request *request, struct visibility visibility,
		struct budget_account *account, const struct encoding *encoding,
		void (*wake)(struct cursor *cursor), struct filter_error *error);
/* A zeroed one is allowed. */
void cursor_done(struct cursor *cursor);

/*
 * cursor_peek() - the next bytes to send
 * They are valid until the next call of a function in core, except for cursor_peek() of up to views_kept() other cursors;
 * shared lines (not @own) also stay valid during cursor_sent().
 * Return: a number of bytes at *data; 0 if everything was sent; -EAGAIN to continue in the loop's next turn; -ENOMEM; -EDQUOT
 * if the account has no room for the bytes that have to be kept.
 */
ssize_t cursor_peek(struct cursor *cursor, const char **data);

/* cursor_sent() - the first @size bytes of the last cursor_peek() were sent. Return: 0, -ENOMEM or -EDQUOT. */
int cursor_sent(struct cursor *cursor, size_t size);

/* cursor_block() - its socket is full: nothing is encoded for it until the next cursor_peek() */
void cursor_block(struct cursor *cursor);

/* cursor_is_idle() - everything was sent, up to the log's end: cursor_position() is at the end */
bool cursor_is_idle(struct cursor *cursor);

/* cursor_position() - "EPOCH:SEQ": the position after the last sent event. Return: @buf. */
char *cursor_position(const struct cursor *cursor, char buf[static CURSOR_TEXT_MAX]);

/* The same, as if the first @size bytes of the last cursor_peek(), complete lines, were sent. */
char *cursor_position_after(const struct cursor *cursor, size_t size, char buf[static CURSOR_TEXT_MAX]);

/* cursor_heartbeat() - send a heartbeat next, if everything else was sent. Return: 0, -ENOMEM or -EDQUOT. */
int cursor_heartbeat(struct cursor *cursor);
