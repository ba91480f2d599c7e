/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the D-Bus face share:
 *
 *   dbus.c               the connection: made, lost, made again, and how the loop serves it
 *   peer.c          who sends: messages wait until the bus has said it; who leaves takes all with him
 *   manager.c       the object /org/forkbus1
 *   request.c       dictionaries to requests, and back
 *   polkit.c        asking polkit
 *   subscription.c  the objects of subscriptions, and their signals
 *   ping.c          what keeps signals from piling up in the bus
 *   list.c          ListProcesses, whose reply is made piece by piece
 *   event.c         events as messages have them
 */

#include <sys/queue.h>
#include <systemd/sd-bus.h>
#include <uthash.h>

#include "core/cursor.h"
#include "core/peer.h"
#include "request.h"
#include "serve/dbus/dbus.h"

#define DBUS_NAME	  "org.forkbus1"
#define DBUS_PATH	  "/org/forkbus1"
#define DBUS_SUBSCRIPTION DBUS_PATH "/subscription"
#define DBUS_ERROR(_name) DBUS_NAME ".Error." _name
#define DBUS_DRIVER	  "org.freedesktop.DBus"

/* Of the bus; those who are owners, or have something under way, are known by these as long as they are there. */
struct dbus_peer {
	struct dbus *dbus;
	char *name; /* unique on the bus, never used again */
	bool known; /* @who is told; until then calls wait */
	struct peer who;
	sd_bus_slot *asked; /* the question who it is */
	TAILQ_HEAD(, dbus_held) held;
	unsigned int n_held, n_queries, n_lists; /* all limited */
	LIST_HEAD(, dbus_query) queries;	 /* to polkit */
	TAILQ_HEAD(, dbus_job) jobs;		 /* who was blocked first is before those blocked later */

	/* Signals that were sent to it, those until it was asked last, and those that are known to have come. */
	struct dbus_window {
		uint64_t sent, asked, taken;
		sd_bus_slot *ping; /* the question, under way */
		bool waits;	   /* in the queue for it */
		TAILQ_ENTRY(dbus_peer) turn;
	} window;
	UT_hash_handle hh;
};

/* Something that sends from a cursor, in turn with all others: a subscription, or a list. */
struct dbus_job {
	struct dbus_peer *peer; /* its owner */
	struct cursor cursor;
	bool ready;   /* is in the queue of those who may have something to send */
	bool blocked; /* its peer has to take first what it was sent */
	TAILQ_ENTRY(dbus_job) turn;
	TAILQ_ENTRY(dbus_job) of_peer;
	/*
	 * Send up to so many messages, and take them off.
	 * Return: 0 if there is nothing more for now, -EAGAIN if there may be in another turn; another negative errno: it is
	 * over, and to be freed.
	 */
	int (*run)(struct dbus_job *job, unsigned int *budget);
	void (*free)(struct dbus_job *job);
};

struct dbus {
	enum dbus_kind kind;
	struct hub *hub; /* where the events are */
	struct event_base *base;
	struct budget *budget;
	struct face_options options;
	struct face_stats stats;
	unsigned int (*subscribers)(void *userdata);
	void *userdata;

	sd_bus *connection; /* NULL: there is none */
	struct event *io, *timer, *reopen;
	short io_wants; /* what @io waits for; 0: it does not */
	bool lost;	/* the connection, found out in the midst of something */
	bool again;	/* there is more to do than fitted into one turn */
	unsigned int attempts;
	int told; /* the errno of the last attempt, so that it is told once */

	struct dbus_peer *peers;
	TAILQ_HEAD(dbus_jobs, dbus_job) ready;
	struct dbus_subscription *subscriptions; /* by number */
	uint64_t last_subscription;

	TAILQ_HEAD(, dbus_peer) unasked; /* wait for their turn to be asked */
	struct budget *pings;		 /* under way */
	uint64_t ping_pause_usec;	 /* CLOCK_MONOTONIC: none before, the bus has refused one */
	bool ping_told;
	struct budget *queries; /* to polkit, under way */

	/* What was told last of those properties whose changes are. */
	struct dbus_told {
		char source[32];
		uint64_t lost;
		unsigned int subscribers;
		uint64_t usec; /* CLOCK_MONOTONIC */
	} property;
};

struct dbus_subscription {
	struct dbus_job job;
	struct dbus *dbus;
	uint64_t number;
	char path[sizeof(DBUS_SUBSCRIPTION) + 21];
	uint64_t sent, dropped;
	UT_hash_handle hh;
};

/* dbus.c */

/* dbus_job_begin() - a job of a peer, whose place in the budget is taken. @request: its filter is taken. As cursor_init(). */
int dbus_job_begin(struct dbus_job *job, struct dbus_peer *peer, struct request *request, bool all,
		   struct filter_error *error);
/* Takes it out of everything. */
void dbus_job_end(struct dbus_job *job);
/* dbus_job_ready() - it may have something to send */
void dbus_job_ready(struct dbus_job *job);
/* dbus_job_block() - its peer has to take first what it was sent: then it is ready again, after those who wait longer */
void dbus_job_block(struct dbus_job *job);

/* peer.c */

/* Calls of unknown peers wait, names that leave are noticed. Return: 0 or a negative errno. */
int dbus_peers_watch(struct dbus *dbus);
/* All of them, with all that is theirs. */
void dbus_peers_free(struct dbus *dbus);
/* Who has sent a message, NULL: gone. Only calls of those who are known are dispatched. */
struct dbus_peer *dbus_sender(struct dbus *dbus, sd_bus_message *message);

/* manager.c */

int dbus_manager_add(struct dbus *dbus);
/* Tell of changed properties, not too often. Return: µs until it is time to; 0: nothing to tell. */
uint64_t dbus_manager_changed(struct dbus *dbus, uint64_t now_usec);

/* request.c */

/*
 * dbus_read_request() - an a{sv} as the JSON object that other faces get
 * @max: bytes that there may be, as JSON would have them
 * Return: 0; FILTER_E_INVALID, told in @error; or a negative errno.
 */
int dbus_read_request(sd_bus_message *message, size_t max, json_t **ret, struct filter_error *error);
/* dbus_append_object() - a JSON object as an a{sv}. Return: 0 or a negative errno. */
int dbus_append_object(sd_bus_message *message, json_t *object);
/* dbus_refuse() - answer a call with what is wrong with its request. @r: FILTER_E_INVALID or a negative errno */
int dbus_refuse(sd_bus_message *call, int r, const struct filter_error *error);
/* dbus_take_quota() - a place for one of the peer's jobs. Return: 0, or 1 after the call was refused. */
int dbus_take_quota(struct dbus_peer *peer, sd_bus_message *call);

/* polkit.c */

/* The limits of questions. Return: 0 or -ENOMEM. */
int dbus_polkit_new(struct dbus *dbus);
/*
 * dbus_polkit_ask() - may the peer see the processes of all?
 * @done: called with the answer, unless the peer leaves; replies to the call
 * Return: 0 or a negative errno.
 */
int dbus_polkit_ask(struct dbus_peer *peer, sd_bus_message *call,
		    void (*done)(struct dbus_peer *peer, sd_bus_message *call, bool granted));
struct dbus_query;
void dbus_query_free(struct dbus_query *query);

/* subscription.c */

int dbus_subscriptions_add(struct dbus *dbus);
/* dbus_subscribe() - begin one, and answer the call. @request: its filter is taken. */
int dbus_subscribe(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all);

/* ping.c */

/* The limits of questions. Return: 0 or -ENOMEM. */
int dbus_pings_new(struct dbus *dbus);
/* How many more signals may be sent before the peer has shown that they come. */
unsigned int dbus_ping_room(const struct dbus_peer *peer);
/* Signals were sent: ask, if it is time to. */
void dbus_ping_note(struct dbus_peer *peer);
/* Ask those whose turn it is. Return: µs until it can be tried again; 0: nobody waits for that. */
uint64_t dbus_ping_run(struct dbus *dbus, uint64_t now_usec);
void dbus_ping_end(struct dbus_peer *peer);

/* list.c */

/* dbus_list() - begin a list, which answers the call when it is done. @request: its filter is taken. */
int dbus_list(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all);

/* event.c */

/* dbus_append_event() - an event's fields but those in @without, as an a{sv}. Return: 0 or a negative errno. */
int dbus_append_event(sd_bus_message *message, const struct fb_event *event, uint64_t without);
/* dbus_event_size() - the bytes that dbus_append_event() makes of it at most */
size_t dbus_event_size(const struct fb_event *event, uint64_t without);
/* dbus_append_text() - any bytes as a string: what a string cannot be becomes U+FFFD */
int dbus_append_text(sd_bus_message *message, struct event_text text);
/* dbus_send_event() - the signal that tells of an event, to one receiver alone. Return: 0 or a negative errno. */
int dbus_send_event(sd_bus *connection, const char *receiver, const char *path, const struct fb_event *event);
