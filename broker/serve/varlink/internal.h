/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the Varlink face share:
 *
 *   varlink.c           the socket, and all connections
 *   link.c      one of them: bytes to calls, replies to bytes
 *   message.c   calls and replies as JSON
 *   methods.c   what can be called
 *   pieces.c    replies that are made piece by piece: events, and lists of processes
 *   idl.c       the descriptions of the interfaces
 */

#include <sys/queue.h>
#include <sys/uio.h>

#include "core/cursor.h"
#include "core/peer.h"
#include "serve/listener.h"
#include "serve/outbox.h"
#include "serve/varlink/message.h"
#include "serve/varlink/varlink.h"

/* The interfaces in the order of names, and their descriptions. */
struct varlink_interface {
	const char *name, *description;
};
extern const struct varlink_interface varlink_interfaces[];
extern const size_t varlink_n_interfaces;

struct link;

struct varlink {
	struct hub *hub;
	struct event_base *base;
	struct budget *budget;
	struct face_options options;
	struct face_stats stats;
	char *(*status)(void *userdata);
	void *userdata;

	char *path; /* NULL: it belongs to who made the socket */
	struct listener *listener;
	LIST_HEAD(, link) links;
	struct outboxes *outboxes;
};

enum link_state {
	LINK_IDLE,   /* takes calls */
	LINK_EVENTS, /* answers Subscribe */
	LINK_LIST,   /* answers ListProcesses */
};

/* The end of a reply that has a cursor. */
#define LINK_END_MAX (CURSOR_TEXT_MAX + 40)

struct link {
	struct varlink *varlink;
	int fd;
	struct peer peer;
	struct event *readable, *writable;
	struct event *deadline; /* for a call that has begun to come */
	LIST_ENTRY(link) link;

	char *in; /* calls, as far as they have come */
	size_t in_size, in_room;
	bool ended; /* nothing more comes in */

	char *out; /* the rest of a reply; NULL: nothing waits */
	size_t out_at, out_end;
	int out_fd;	    /* goes with its first byte; -1: none */
	bool oneway;	    /* what is being called wants no reply */
	bool broken;	    /* there is nothing else to do than to close */
	uint64_t sent_usec; /* CLOCK_MONOTONIC of the last byte that went out */

	enum link_state state;
	struct cursor cursor; /* but for LINK_IDLE */
	bool list_begun;
	struct outbox outbox;	/* of what the cursor shows */
	char end[LINK_END_MAX]; /* of the reply that is made */
};

extern const struct outbox_ops link_outbox_ops;

/* link_new() - take over a socket whose peer has its place in the budget; both are given back where it fails, too */
void link_new(struct varlink *varlink, int fd, const struct peer *peer);
void link_free(struct link *link);

/* Silence since the interval for it: say up to where all is told, unless something is on its way. May free it. */
void link_tick(struct link *link, uint64_t now_usec);

/* link_run() - do what can be done now: send, go on with a reply, take calls. May free it. */
void link_run(struct link *link);

/*
 * link_reply(), link_fail(), link_fail_with() - answer the call that is being taken
 * @parameters: taken; NULL: there was no memory for them, and the connection is closed
 */
void link_reply(struct link *link, json_t *parameters);
void link_fail(struct link *link, const char *error);
void link_fail_with(struct link *link, const char *error, json_t *parameters);
/* The same, the parameters being a JSON text already, taken; NULL: no memory. */
void link_reply_text(struct link *link, char *parameters);

/* link_send() - send what is part of an answer, and keep what the socket does not take. Return: 0 or -ENOMEM, -EPIPE. */
int link_send(struct link *link, const struct iovec *parts, size_t n);
/* link_keep() - the same, of which the socket has taken @sent bytes. Return: 0 or -ENOMEM. */
int link_keep(struct link *link, const struct iovec *parts, size_t n, size_t sent);
/* The socket has taken so many bytes, more than none. */
void link_sent(struct link *link, size_t n);

/* varlink_dispatch() - call a method, which replies, or begins to */
void varlink_dispatch(struct link *link, const struct varlink_call *call);

/*
 * link_begin() - from now on the answer comes from a cursor
 * @request: its filter is taken. Return: as cursor_init().
 */
int link_begin(struct link *link, enum link_state state, struct request *request, struct filter_error *error);
/* Back to taking calls. */
void link_end(struct link *link);

/* A reply without events that says where the subscriber is. Return: 0 or a negative errno. */
int link_heartbeat(struct link *link);
