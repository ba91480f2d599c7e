/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The handle, and the states of its subscription:
 *
 *   WAITING  not connected; the next attempt is at a set time
 *   CALLING  a call is to be sent, or its reply is awaited: which process a bare pid is, the ring, the list of processes,
 *            or the subscription, whose replies then bring the events
 *   RING     events come by the ring; the connection only shows when the broker exits
 *
 * forkbus_process() works in steps: it delivers an event that was received, else reads a reply, else sends a call. The
 * connection, and the calls before the first event, are in session.c. A step that fails for lack of memory can be repeated.
 */

#include "events.h"
#include "filter-set.h"
#include "reason.h"
#include "wire.h"

#define RUNTIME_DIR "/run/forkbus"

struct ring;

enum client_state { CLIENT_NEW, CLIENT_WAITING, CLIENT_CALLING, CLIENT_RING, CLIENT_FAILED };

enum client_call { CALL_GET_PROCESS, CALL_OPEN_RING, CALL_LIST, CALL_STATUS, CALL_SUBSCRIBE };

/* All events up to here were delivered. */
struct position {
	bool known;
	uint64_t epoch, seq;
};

/* The events of one reply. */
struct batch {
	json_t *events; /* NULL: none; owned by the reply */
	size_t next;
	bool is_list; /* a list of processes; ready follows */
	struct position end;
};

struct forkbus {
	char *path; /* of the socket */
	uint64_t flags;
	struct filter_set set; /* the request */
	int epoll_fd;

	enum client_state state;
	int failure;
	struct reason reason; /* of the last failure */

	/* The connection */
	struct wire *wire;
	short wire_events; /* that the epoll instance waits for; 0: not in it */
	enum client_call call;
	bool sent;
	struct reply reply;    /* that is being handled */
	bool accepted;	       /* a broker has accepted this handle before */
	uint64_t retry_usec;   /* WAITING: when to connect */
	uint64_t backoff_usec; /* and how long to wait after that attempt */

	/* Delivery */
	enum forkbus_item announce; /* to be returned first; FORKBUS_NOTHING: none */
	bool is_gone;		    /* FORKBUS_DISCONNECTED was returned */
	bool is_ready;		    /* FORKBUS_TYPE_READY was delivered */
	bool busy;		    /* there may be more, even if the descriptor is not readable */
	struct batch batch;
	struct position position;
	struct forkbus_event event;
	struct event_store store;
	char cursor[CURSOR_TEXT_MAX];

	/* The ring */
	struct filter *ring_filter; /* NULL: the ring is not used */
	bool ring_more;		    /* the ring may have more events */
	struct ring *ring;
	bool ring_ending;  /* the broker is gone, but the ring may have events left */
	bool ring_pending; /* ring_event was read, but not yet delivered */
	struct fb_event ring_event;
};

static inline bool client_is_started(const struct forkbus *client)
{
	return client->state != CLIENT_NEW;
}
