/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection of the Varlink face. A part uses only parts below it:
 *
 *   varlink.c   the face, and the calls of a connection
 *   methods.c   the methods
 *   link.c      replies: to one call, or in pieces from a cursor
 *   message.c   calls and replies as JSON
 *   idl.c       the descriptions of the interfaces
 */

#include <jansson.h>

#include "serve/connection.h"

struct varlink_call;

enum link_state {
	LINK_IDLE,   /* takes calls */
	LINK_EVENTS, /* answers Subscribe */
	LINK_LIST,   /* answers ListProcesses */
};

/* The end of a reply that has a cursor. */
#define LINK_END_MAX (CURSOR_TEXT_MAX + 40)

struct link {
	struct connection connection; /* the first member; has a cursor except in LINK_IDLE */

	char *out; /* the rest of a reply; NULL: nothing waits */
	size_t out_at, out_end;
	size_t out_kept; /* bytes that are counted as cached */
	int out_fd;	 /* goes with its first byte; -1: none */
	bool oneway;	 /* the current call wants no reply */
	bool broken;	 /* the only thing left to do is to close */

	enum link_state state;
	bool list_begun;
	char end[LINK_END_MAX]; /* of the current reply */
};

static inline struct link *link_of(struct connection *connection)
{
	return (struct link *)connection;
}

/*
 * link_reply(), link_fail(), link_fail_with() - answer the current call
 * @parameters: taken; NULL: out of memory, the connection is closed
 */
void link_reply(struct link *link, json_t *parameters);
void link_fail(struct link *link, const char *error);
void link_fail_with(struct link *link, const char *error, json_t *parameters);
/* The same, with parameters that are a JSON text already, taken; NULL: out of memory. */
void link_reply_text(struct link *link, char *parameters);

/* link_drop_out() - free the rest that was kept */
void link_drop_out(struct link *link);
/* link_flush() - send the rest that was kept. Return: whether nothing waits any more. */
bool link_flush(struct link *link);

/* link_begin() - answer from a cursor from now on. @request: its filter is taken. Return: as cursor_init(). */
int link_begin(struct link *link, enum link_state state, struct request *request, struct filter_error *error);
/* link_end() - accept calls again */
void link_end(struct link *link);

/* Those of struct connection_ops. */
int link_piece(struct connection *connection, struct send_op *op);
int link_sent(struct connection *connection, const struct send_op *op, size_t n);

/* link_heartbeat() - send a reply without events, with the position of the subscriber. Return: 0 or a negative errno. */
int link_heartbeat(struct link *link);

/* varlink_dispatch() - call a method of methods.c, which replies, or begins a reply */
void varlink_dispatch(struct link *link, const struct varlink_call *call);
