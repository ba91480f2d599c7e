/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The handle, and how it goes about a subscription:
 *
 *   WAITING  not connected, until a time comes
 *   CALLING  a call is to be sent, or its reply to come: who a bare pid is, the ring, the snapshot, the subscription, of
 *            which the replies then go on
 *   RING     events come by the ring; the connection is there to tell when the broker goes
 *
 * What came is handed out before more is read. Every step that can lack memory leaves things so that it can be done again.
 */

#include "held.h"
#include "public.h"
#include "reply.h"
#include "request.h"
#include "settings.h"
#include "wire.h"

#define RUNTIME_DIR "/run/forkbus"

struct ring;

enum bus_state { BUS_NEW, BUS_WAITING, BUS_CALLING, BUS_RING, BUS_FAILED };

enum bus_call { CALL_GET_PROCESS, CALL_OPEN_RING, CALL_LIST, CALL_STATUS, CALL_SUBSCRIBE };

/* Up to where all was handed out. */
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
	struct settings settings;
	int epoll_fd;

	enum bus_state state;
	int failure;
	bool has_text;
	char text[REPLY_TEXT_MAX]; /* why */

	/* The connection */
	struct wire *wire;
	short wire_events; /* that are waited for; 0: not in the epoll instance */
	enum bus_call call;
	bool sent;
	struct reply reply;    /* that is being dealt with */
	int reply_kind;	       /* what reply_set() said of it */
	bool accepted;	       /* by the broker, once */
	uint64_t retry_usec;   /* WAITING: when */
	uint64_t backoff_usec; /* and how long after it the next time */

	/* What is handed out */
	enum forkbus_item announce; /* before all else; FORKBUS_NOTHING: none */
	bool told_gone;		    /* the caller knows that there is no connection */
	bool told_ready;
	bool busy; /* there may be more, whatever the descriptor says */
	struct batch batch;
	struct position position;
	struct forkbus_event event;
	struct event_store store;
	char cursor[CURSOR_TEXT_MAX];

	/* The ring */
	struct filter *ring_filter; /* NULL: it is not to be used */
	bool ring_refused;	    /* on this connection */
	bool ring_more;		    /* there is more to be looked through */
	struct ring *ring;
	bool ring_ending;  /* the broker is gone, but there may be some left */
	bool ring_pending; /* ring_event was read and not handed out */
	struct fb_event ring_event;
};

static inline bool bus_is_started(const struct forkbus *bus)
{
	return bus->state != BUS_NEW;
}

/* bus_explain() - keep a sentence on why a call failed. Return: @error. */
int bus_explain(struct forkbus *bus, int error, const char *sentence);

/* bus_explain_filter() - the same of a filter: "KEY: REASON". Return: -EINVAL. */
int bus_explain_filter(struct forkbus *bus, const struct filter_error *error);

/* now_usec() - by CLOCK_MONOTONIC */
uint64_t now_usec(void);

enum {
	_BUS_E_SUCCESS,
	BUS_E_IDLE, /* nothing to be done for now */
};

/* bus_connect() - begin a connection. Return: 0, what wire_new() says. */
int bus_connect(struct forkbus *bus);

/* bus_disconnect() - let go what belongs to a connection */
void bus_disconnect(struct forkbus *bus);

/* bus_wait_again() - no connection any more: another one after a while */
void bus_wait_again(struct forkbus *bus);

/* bus_call_subscribe() - have events by the socket, and not by the ring, as long as this connection is */
void bus_call_subscribe(struct forkbus *bus);

/* bus_watch() - have the epoll instance wait for what the connection waits for. Return: 0 or a negative errno. */
int bus_watch(struct forkbus *bus);

/* bus_advance() - do one step. Return: 0, BUS_E_IDLE, a negative errno: all but -ENOMEM are the end. */
int bus_advance(struct forkbus *bus);

/* bus_hand_out() - what is here. Return: of enum forkbus_item, or a negative errno, as bus_advance(). */
int bus_hand_out(struct forkbus *bus);

/* bus_set_position() - all up to here was handed out */
void bus_set_position(struct forkbus *bus, uint64_t epoch, uint64_t seq);

/* bus_ring_open() - map a ring. @fd: taken. Return: 0; negative: it cannot be. */
int bus_ring_open(struct forkbus *bus, int fd);
/* bus_ring_begin() - read it from the position on. Return: 0; negative: it cannot be. */
int bus_ring_begin(struct forkbus *bus);
void bus_ring_close(struct forkbus *bus);

/* bus_ring_hand_out() - as bus_hand_out(); -EBADMSG: the ring is none */
int bus_ring_hand_out(struct forkbus *bus);
