/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The data that the parts of the D-Bus face share. A part uses only parts below it:
 *
 *   dbus.c             the connection: opened, lost, opened again, and served by the loop
 *   manager.c          the object /org/forkbus1
 *   subscription.c     the objects of subscriptions, and their signals
 *   list.c             ListProcesses, whose reply is made in pieces
 *   peer.c             the callers: their messages wait until the bus has named their users
 *   ping.c             limits the signals that are queued in the bus
 *   polkit.c           asks polkit
 *   job.c              subscriptions and lists, which send in turn
 *   dictionary.c       dictionaries to JSON objects, and back; refusals
 *   event-message.c    events as D-Bus messages
 */

#include <sys/queue.h>
#include <systemd/sd-bus.h>
#include <uthash.h>

#include "core/access.h"
#include "serve/face.h"

#define DBUS_NAME	  "org.forkbus1"
#define DBUS_PATH	  "/org/forkbus1"
#define DBUS_SUBSCRIPTION DBUS_PATH "/subscription"
#define DBUS_ERROR(_name) DBUS_NAME ".Error." _name
#define DBUS_DRIVER	  "org.freedesktop.DBus"

/* A caller on the bus, by its unique name, until it leaves the bus. It owns its jobs and queries. */
struct dbus_peer {
	struct dbus *dbus;
	char *name;			/* unique on the bus, never used again */
	bool known;			/* @identity is there; until then calls wait */
	struct peer identity;		/* for decisions about access */
	struct budget_account *account; /* NULL: not known yet */
	sd_bus_slot *asked;		/* the pending question for @identity */
	TAILQ_HEAD(, dbus_held_call) held_calls;
	unsigned int n_held_calls, n_queries, n_lists; /* all limited */
	LIST_HEAD(, dbus_query) queries;	       /* to polkit */
	TAILQ_HEAD(, dbus_job) jobs;		       /* in the order in which they were blocked */

	/* Numbers of signals: sent to it, sent before the last ping, and known to have arrived. */
	struct dbus_window {
		uint64_t sent, asked, taken;
		sd_bus_slot *ping; /* pending */
		bool waits;	   /* is in dbus.unasked */
		TAILQ_ENTRY(dbus_peer) turn;
	} window;
	UT_hash_handle hh;
};

struct dbus {
	struct face face; /* the first member */
	struct face_context context;
	struct face_stats stats; /* only the bus library counts bytes */

	sd_bus *connection; /* NULL: there is none */
	struct event *io, *timer, *reopen;
	struct event *work;  /* a job may have something to send */
	struct event *later; /* the same for those that come later */
	short io_wants;	     /* the events that @io waits for; 0: none */
	bool lost;	     /* the connection broke, which is handled before the loop's next wait */
	bool again;	     /* there is more to do than fits into one turn */
	unsigned int attempts;
	int reported; /* the errno of the last failure, which is reported once */

	struct dbus_peer *peers;		 /* by name */
	TAILQ_HEAD(dbus_jobs, dbus_job) ready;	 /* jobs that may have something to send */
	struct dbus_jobs late;			 /* the same, of users who had their share of the time */
	struct dbus_subscription *subscriptions; /* by number */
	uint64_t last_subscription;

	TAILQ_HEAD(, dbus_peer) unasked; /* wait for their turn to be pinged */
	uint64_t ping_pause_usec; /* CLOCK_MONOTONIC: after a refusal of the bus, no ping before this time */
	bool ping_reported;

	/* The last signalled values of the properties whose changes are signalled. */
	struct dbus_properties {
		char source[32];
		uint64_t lost;
		unsigned int subscribers;
		uint64_t usec; /* CLOCK_MONOTONIC */
	} properties;
};
