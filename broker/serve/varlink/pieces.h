/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Replies that are made in pieces from a cursor: events, each piece a reply, and lists of processes, one reply for all.
 */

#include "serve/varlink/link.h"

/* link_begin() - from now on the answer comes from a cursor. @request: its filter is taken. Return: as cursor_init(). */
int link_begin(struct link *link, enum link_state state, struct request *request, struct filter_error *error);
/* link_end() - back to taking calls */
void link_end(struct link *link);

/* Those of struct connection_ops. */
int link_piece(struct connection *connection, struct send_op *op);
int link_sent(struct connection *connection, const struct send_op *op, size_t n);

/* link_heartbeat() - a reply without events that says where the subscriber is. Return: 0 or a negative errno. */
int link_heartbeat(struct link *link);
