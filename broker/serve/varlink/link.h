/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection of the Varlink face. The parts, one using those below it:
 *
 *   varlink.c   the face, and the calls of a connection
 *   methods.c   what can be called
 *   pieces.c    replies that are made in pieces: events, and lists of processes
 *   reply.c     replies to one call
 *   message.c   calls and replies as JSON
 *   idl.c       the descriptions of the interfaces
 */

#include "serve/connection.h"

enum link_state {
	LINK_IDLE,   /* takes calls */
	LINK_EVENTS, /* answers Subscribe */
	LINK_LIST,   /* answers ListProcesses */
};

/* The end of a reply that has a cursor. */
#define LINK_END_MAX (CURSOR_TEXT_MAX + 40)

struct link {
	struct connection connection; /* the first member; has a cursor but for LINK_IDLE */

	char *out; /* the rest of a reply; NULL: nothing waits */
	size_t out_at, out_end;
	int out_fd;  /* goes with its first byte; -1: none */
	bool oneway; /* the current call wants no reply */
	bool broken; /* there is nothing else to do than to close */

	enum link_state state;
	bool list_begun;
	char end[LINK_END_MAX]; /* of the reply that is made */
};

static inline struct link *link_of(struct connection *connection)
{
	return (struct link *)connection;
}
