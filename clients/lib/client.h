/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The handle, and how it goes about a subscription:
 *
 *   WAITING  not connected, until a time comes
 *   CALLING  a call is to be sent, or its reply to come: who a bare pid is, the ring, the snapshot, the subscription, of
 *            which the replies then go on
 *   RING     events come by the ring; the connection only shows when the broker goes
 *
 * forkbus_process() goes in steps: an event that is here is delivered, else a reply is read, else a call is sent. What
 * belongs to a connection, and the calls that come before events, are in session.c. Every step that can lack memory leaves
 * things so that it can be done again.
 */

#include "events.h"
#include "filter-set.h"
#include "reason.h"
#include "wire.h"

#define RUNTIME_DIR "/run/forkbus"

struct ring;

enum client_state { CLIENT_NEW, CLIENT_WAITING, CLIENT_CALLING, CLIENT_RING, CLIENT_FAILED };

enum client_call { CALL_GET_PROCESS, CALL_OPEN_RING, CALL_LIST, CALL_STATUS, CALL_SUBSCRIBE };

/* Up to where all was delivered. */
struct position {
	bool known;
	uint64_t epoch, seq;
};

/* Events that came together. */
struct batch {
	json_t *events; /* NULL: none; lent by the reply */
	size_t next;
	bool is_list; /* ready follows */
	struct position end;
};

struct forkbus {
	char *path; /* of the socket */
	uint64_t flags;
	struct filter_set set; /* what is asked for */
	int epoll_fd;

	enum client_state state;
	int failure;
	struct reason reason; /* why */

	/* The connection */
	struct wire *wire;
	short wire_events; /* that are waited for; 0: not in the epoll instance */
	enum client_call call;
	bool sent;
	struct reply reply;    /* that is being dealt with */
	bool accepted;	       /* by the broker, once */
	uint64_t retry_usec;   /* WAITING: when */
	uint64_t backoff_usec; /* and how long after it the next time */

	/* What is delivered */
	enum forkbus_item announce; /* before all else; FORKBUS_NOTHING: none */
	bool is_gone;		    /* the caller knows that there is no connection */
	bool is_ready;		    /* the caller has got ready */
	bool busy;		    /* there may be more, whatever the descriptor says */
	struct batch batch;
	struct position position;
	struct forkbus_event event;
	struct event_store store;
	char cursor[CURSOR_TEXT_MAX];

	/* The ring */
	struct filter *ring_filter; /* NULL: it is not to be used */
	bool ring_more;		    /* there is more to be looked through */
	struct ring *ring;
	bool ring_ending;  /* the broker is gone, but there may be some left */
	bool ring_pending; /* ring_event was read and not delivered */
	struct fb_event ring_event;
};

static inline bool client_is_started(const struct forkbus *client)
{
	return client->state != CLIENT_NEW;
}
