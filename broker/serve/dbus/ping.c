// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * If a receiver does not read, its messages are queued in the bus, until the bus drops them without notice. So the broker
 * pings a subscriber from time to time: its answer shows that everything that was sent before has arrived. Like the bus, the
 * broker counts per connection, not per subscription.
 *
 * The bus allows a limited number of unanswered calls of one connection (dbus-daemon: 128), and calls to peers that never
 * answer stay unanswered: so there is a limit for all together and one for each user except root. If it is reached, peers
 * wait for their turn.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/message.h"
#include "serve/dbus/job.h"
#include "serve/dbus/ping.h"

#define EVERY	      128 /* signals between one ping and the next */
#define WINDOW	      256 /* the most signals that no answer has confirmed */
/* Pending pings, to all peers together, and to those of one user. */
#define PINGS_MAX     100
#define PINGS_OF_USER 10
/* After the bus refused a ping: the time until the next one. */
#define PAUSE_USEC    USEC_PER_SEC

void dbus_pings_limit(struct dbus *dbus)
{
	budget_set(dbus->context.budget, BUDGET_PINGS, PINGS_MAX, PINGS_OF_USER);
}

unsigned int dbus_ping_room(const struct dbus_peer *peer)
{
	uint64_t untaken = peer->window.sent - peer->window.taken;

	return untaken < WINDOW ? (unsigned int)(WINDOW - untaken) : 0;
}

static void queue(struct dbus_peer *peer)
{
	if (peer->window.waits || peer->window.ping)
		return;
	peer->window.waits = true;
	TAILQ_INSERT_TAIL(&peer->dbus->unasked, peer, window.turn);
}

static void unqueue(struct dbus_peer *peer)
{
	if (!peer->window.waits)
		return;
	peer->window.waits = false;
	TAILQ_REMOVE(&peer->dbus->unasked, peer, window.turn);
}

static void forget_ping(struct dbus_peer *peer)
{
	if (!peer->window.ping)
		return;
	peer->window.ping = sd_bus_slot_unref(peer->window.ping);
	budget_give(peer->account, BUDGET_PINGS, 1);
}

void dbus_ping_end(struct dbus_peer *peer)
{
	forget_ping(peer);
	unqueue(peer);
}

void dbus_ping_note(struct dbus_peer *peer)
{
	if (peer->window.sent - peer->window.asked >= EVERY)
		queue(peer);
}

/* The bus answered instead of the peer: whether the peer reads is still unknown. */
static void on_refused(struct dbus_peer *peer, sd_bus_message *reply)
{
	struct dbus *dbus = peer->dbus;

	peer->window.asked = peer->window.taken;
	/* The peer has left; the bus will signal this next. */
	if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
	    sd_bus_message_is_method_error(reply, SD_BUS_ERROR_SERVICE_UNKNOWN))
		return;
	queue(peer);
	/* It has left without an answer, or the bus does not wait for one as long as this does. */
	if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NO_REPLY))
		return;
	dbus->ping_pause_usec = clock_usec(CLOCK_MONOTONIC) + PAUSE_USEC;
	if (!dbus->ping_reported)
		msg_warning("the bus refuses a ping to a subscriber: %s",
			    sd_bus_message_get_error(reply) ? sd_bus_message_get_error(reply)->message : "?");
	dbus->ping_reported = true;
}

/* The peer has answered, perhaps with an error: it reads. */
static int on_pong(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dbus_peer *peer = userdata;
	const char *sender = sd_bus_message_get_sender(reply);

	(void)error;
	forget_ping(peer);
	if (!sender || strcmp(sender, peer->name) != 0) {
		on_refused(peer, reply);
		return 0;
	}
	peer->window.taken = peer->window.asked;
	dbus_ping_note(peer);
	dbus_jobs_unblock(peer);
	return 0;
}

static int ask(struct dbus_peer *peer)
{
	struct dbus *dbus = peer->dbus;
	sd_bus_message *ping = NULL;
	int r;

	r = sd_bus_message_new_method_call(dbus->connection, &ping, peer->name, "/",
					   "org.freedesktop.DBus.Peer", "Ping");
	/* A program can be stopped for years. */
	if (r >= 0)
		r = sd_bus_call_async(dbus->connection, &peer->window.ping, ping, on_pong, peer, UINT64_MAX);
	sd_bus_message_unref(ping);
	if (r < 0)
		return r;
	peer->window.asked = peer->window.sent;
	return 0;
}

uint64_t dbus_ping_run(struct dbus *dbus, uint64_t now_usec)
{
	struct dbus_peer *peer, *next;
	int r = 0;

	if (now_usec < dbus->ping_pause_usec)
		return TAILQ_EMPTY(&dbus->unasked) ? 0 : dbus->ping_pause_usec - now_usec;
	for (peer = TAILQ_FIRST(&dbus->unasked); peer && r != BUDGET_E_TOTAL; peer = next) {
		next = TAILQ_NEXT(peer, window.turn);
		r = budget_take(peer->account, BUDGET_PINGS, 1);
		if (r != 0)
			continue;
		if (ask(peer) < 0) {
			budget_give(peer->account, BUDGET_PINGS, 1);
			dbus->ping_pause_usec = now_usec + PAUSE_USEC;
			return PAUSE_USEC;
		}
		unqueue(peer);
	}
	return 0;
}
