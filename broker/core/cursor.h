/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The position of a subscriber: all that it costs beside its socket. Faces ask it what to send, and report how much was
 * sent. It keeps track of the place in the log, of losses, of the snapshot before and of the heartbeats between.
 *
 *   the snapshot, if asked for -> ready -> the log from there on, with lost where the log no longer reaches back far enough
 */

#include <sys/queue.h>

#include "hub.h"
#include "request.h"
#include "view.h"

enum cursor_phase {
	CURSOR_REBUILD,	 /* finds the past members of a tree */
	CURSOR_SNAPSHOT, /* walks the table */
	CURSOR_READY,	 /* sends its position */
	CURSOR_STREAM,	 /* the log, from next on */
};

struct cursor {
	struct hub *hub;
	struct view_reader reader;
	enum cursor_phase phase;
	bool snapshot;
	uint64_t next;	   /* the sequence number that it gets next */
	uint64_t position; /* the log's end when it began */
	uint64_t rebuilt;  /* CURSOR_REBUILD: the log is read up to here */
	size_t slot;	   /* CURSOR_SNAPSHOT: in the table */

	/* What it could not get from the start: reported once, after ready. */
	const char *gap_reason; /* NULL: nothing */
	uint64_t gap_since_usec;

	/* Lines (encoded events) that are its own, or the rest of a shared one that was begun: sent before all else. NULL
	 * while there is none */
	char *own;
	size_t own_at, own_end;
	struct view_lines lines; /* what cursor_peek() showed last, if not @own */

	void (*wake)(struct cursor *cursor); /* there may be something to send */
};

/*
 * cursor_init() - begin what a request asks for
 * Takes the request's filter. A since from before what the log holds, or of another epoch, is no error: a lost event
 * reports it. Return: 0; FILTER_E_INVALID, with @error set, where a pid does not live or since lies in the future; or
 * -ENOMEM.
 */
int cursor_init(struct cursor *cursor, struct hub *hub, struct request *request, struct visibility visibility,
		const struct encoding *encoding, void (*wake)(struct cursor *cursor),
		struct filter_error *error);
/* A zeroed one is fine. */
void cursor_done(struct cursor *cursor);

/*
 * cursor_peek() - what to send next
 * Return: a number of bytes at *data, valid until the next call of anything in core, but for cursor_peek() of so many others
 * as views_kept() says (what is shared, not @own, also over cursor_sent()); 0 if all was sent;
 * -EAGAIN if there is more to look at in the loop's next turn; -ENOMEM.
 */
ssize_t cursor_peek(struct cursor *cursor, const char **data);

/* cursor_sent() - the first @size bytes of what cursor_peek() just showed were sent. Return: 0 or -ENOMEM. */
int cursor_sent(struct cursor *cursor, size_t size);

/* cursor_block() - its socket takes no more for now: nothing is encoded on its account until the next cursor_peek() */
void cursor_block(struct cursor *cursor);

/* cursor_is_idle() - all was sent, up to the log's end: cursor_position() is there */
bool cursor_is_idle(struct cursor *cursor);

/* cursor_position() - "EPOCH:SEQ": the place after which everything is still to be sent. Return: @buf. */
char *cursor_position(const struct cursor *cursor, char buf[static CURSOR_TEXT_MAX]);

/* The same, once the first @size bytes of what cursor_peek() just showed, whole lines, were sent. */
char *cursor_position_after(const struct cursor *cursor, size_t size, char buf[static CURSOR_TEXT_MAX]);

/* cursor_heartbeat() - let a heartbeat be sent next, if all else was sent. Return: 0 or -ENOMEM. */
int cursor_heartbeat(struct cursor *cursor);
