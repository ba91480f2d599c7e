// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a receiver does not read piles up in the bus, until the bus drops it without a word. So now and then a subscriber is
 * asked to answer something: its answer shows that all that was sent before has come to it.
 *
 * The bus holds only so many unanswered calls of one connection (dbus-daemon: 128), and peers that never answer keep theirs:
 * so there is a limit for all together and one for each user but root. Whose turn has not come yet waits.
 */
#include <errno.h>

#include "serve/dbus-internal.h"
#include "util/clock.h"
#include "util/msg.h"

#define EVERY	      128 /* signals between one question and the next */
#define WINDOW	      256 /* signals that nothing has come back for, at most */
/* Questions under way, to all peers together, and to those of one user. */
#define PINGS_MAX     100
#define PINGS_OF_USER 10
/* The bus has refused one: something else than we has to change first. */
#define PAUSE_USEC    USEC_PER_SEC

int dbus_pings_new(struct dbus *dbus)
{
	return quota_new(&dbus->pings, PINGS_MAX, PINGS_OF_USER);
}

unsigned int dbus_ping_room(const struct dbus_subscription *subscription)
{
	uint64_t untaken = subscription->sent - subscription->taken;

	return untaken < WINDOW ? (unsigned int)(WINDOW - untaken) : 0;
}

static void queue(struct dbus_subscription *subscription)
{
	if (subscription->unasked || subscription->ping)
		return;
	subscription->unasked = true;
	TAILQ_INSERT_TAIL(&subscription->dbus->unasked, subscription, ping_turn);
}

static void unqueue(struct dbus_subscription *subscription)
{
	if (!subscription->unasked)
		return;
	subscription->unasked = false;
	TAILQ_REMOVE(&subscription->dbus->unasked, subscription, ping_turn);
}

static void forget_ping(struct dbus_subscription *subscription)
{
	if (!subscription->ping)
		return;
	subscription->ping = sd_bus_slot_unref(subscription->ping);
	quota_give(subscription->dbus->pings, subscription->job.peer->who.uid);
}

void dbus_ping_end(struct dbus_subscription *subscription)
{
	forget_ping(subscription);
	unqueue(subscription);
}

void dbus_ping_note(struct dbus_subscription *subscription)
{
	if (subscription->sent - subscription->asked >= EVERY)
		queue(subscription);
}

/* Answered by the peer, were it with an error: it reads. By the bus: it says nothing about the peer. */
static int on_pong(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dbus_subscription *subscription = userdata;
	struct dbus *dbus = subscription->dbus;
	const char *sender = sd_bus_message_get_sender(reply);

	(void)error;
	forget_ping(subscription);
	if (sender && strcmp(sender, subscription->job.peer->name) == 0) {
		subscription->taken = subscription->asked;
		dbus_ping_note(subscription);
		dbus_job_ready(&subscription->job);
		return 0;
	}
	subscription->asked = subscription->taken;
	queue(subscription);
	dbus->ping_pause_usec = clock_usec(CLOCK_MONOTONIC) + PAUSE_USEC;
	if (!dbus->ping_told)
		msg_warning("the bus does not let a subscriber be asked whether it still reads: %s",
			    sd_bus_message_get_error(reply) ? sd_bus_message_get_error(reply)->message : "?");
	dbus->ping_told = true;
	return 0;
}

static int ask(struct dbus_subscription *subscription)
{
	struct dbus *dbus = subscription->dbus;
	sd_bus_message *ping = NULL;
	int r;

	r = sd_bus_message_new_method_call(dbus->connection, &ping, subscription->job.peer->name, "/",
					   "org.freedesktop.DBus.Peer", "Ping");
	/* It may take a stopped program years. */
	if (r >= 0)
		r = sd_bus_call_async(dbus->connection, &subscription->ping, ping, on_pong, subscription,
				      UINT64_MAX);
	sd_bus_message_unref(ping);
	if (r < 0)
		return r;
	subscription->asked = subscription->sent;
	return 0;
}

uint64_t dbus_ping_run(struct dbus *dbus, uint64_t now_usec)
{
	struct dbus_subscription *subscription, *next;
	int r = 0;

	if (now_usec < dbus->ping_pause_usec)
		return TAILQ_EMPTY(&dbus->unasked) ? 0 : dbus->ping_pause_usec - now_usec;
	for (subscription = TAILQ_FIRST(&dbus->unasked); subscription && r != QUOTA_E_TOTAL;
	     subscription = next) {
		uint32_t uid = subscription->job.peer->who.uid;

		next = TAILQ_NEXT(subscription, ping_turn);
		r = quota_take(dbus->pings, uid);
		if (r != 0)
			continue;
		if (ask(subscription) < 0) {
			quota_give(dbus->pings, uid);
			dbus->ping_pause_usec = now_usec + PAUSE_USEC;
			return PAUSE_USEC;
		}
		unqueue(subscription);
	}
	return 0;
}
