// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/dbus/dbus.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "serve/dbus/context.h"
#include "serve/dbus/job.h"
#include "serve/dbus/manager.h"
#include "serve/dbus/peer.h"
#include "serve/dbus/ping.h"
#include "serve/dbus/polkit.h"
#include "serve/dbus/subscription.h"

/* Messages that are received in one turn of the loop. */
#define CALLS_PER_TURN 64
/* A bus is looked for after 1, 2, 4, … s. */
#define REOPEN_MAX_SEC 60

DEFINE_CLEANUP(struct dbus, dbus_free)

/* The connection */

static void try_later(struct dbus *dbus)
{
	unsigned int seconds = dbus->attempts < 6 ? 1U << dbus->attempts : REOPEN_MAX_SEC;
	struct timeval after = { .tv_sec = seconds };

	dbus->attempts++;
	event_add(dbus->reopen, &after);
}

static void disconnect(struct dbus *dbus)
{
	dbus->lost = false;
	event_del(dbus->timer);
	if (dbus->io_wants)
		event_del(dbus->io);
	dbus->io_wants = 0;
	dbus_peers_free(dbus);
	dbus->connection = sd_bus_close_unref(dbus->connection);
}

/* Once for each reason. */
static void report_failure(struct dbus *dbus, int r, const char *what)
{
	if (dbus->reported == r)
		return;
	dbus->reported = r;
	errno = -r;
	if (r == -ENOENT || r == -ECONNREFUSED)
		msg_info("no %s bus yet", dbus->kind == DBUS_USER ? "session" : "system");
	else
		msg_warning("%s: %m", what);
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dbus *dbus = userdata;
	uint32_t result = 0;
	int r;

	(void)error;
	r = -sd_bus_message_get_errno(reply);
	if (r < 0 || sd_bus_message_read(reply, "u", &result) < 0) {
		report_failure(dbus, r, "the bus refuses the name " DBUS_NAME " (is its policy installed?)");
		dbus->lost = true;
		return 0;
	}
	dbus->attempts = 0;
	dbus->reported = 0;
	if (result == 2)
		msg_warning("the name " DBUS_NAME " is taken on the bus; waiting for it");
	else
		msg_info("on the %s bus as " DBUS_NAME, dbus->kind == DBUS_USER ? "session" : "system");
	return 0;
}

static int connect_bus(struct dbus *dbus)
{
	int r = dbus->kind == DBUS_USER ? sd_bus_open_user_with_description(&dbus->connection, "forkbusd")
					: sd_bus_open_system_with_description(&dbus->connection, "forkbusd");

	if (r >= 0)
		r = dbus_peers_watch(dbus);
	if (r >= 0)
		r = dbus_manager_add(dbus);
	if (r >= 0)
		r = dbus_subscriptions_add(dbus);
	if (r >= 0)
		r = sd_bus_request_name_async(dbus->connection, NULL, DBUS_NAME, SD_BUS_NAME_QUEUE, on_name,
					      dbus);
	return r < 0 ? r : 0;
}

static void try_connect(struct dbus *dbus)
{
	int r = connect_bus(dbus);

	if (r == 0)
		return;
	report_failure(dbus, r, "cannot connect to the bus");
	disconnect(dbus);
	try_later(dbus);
}

static void on_reopen(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	try_connect(userdata);
}

/* The loop */

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	struct dbus *dbus = userdata;
	int r = 1;

	(void)fd, (void)what;
	for (unsigned int n = 0; n < CALLS_PER_TURN && r > 0 && !dbus->lost; n++)
		r = sd_bus_process(dbus->connection, NULL);
	dbus->lost |= r < 0;
	dbus->again |= r > 0;
}

static void watch_socket(struct dbus *dbus)
{
	int events = sd_bus_get_events(dbus->connection), fd = sd_bus_get_fd(dbus->connection);
	short wants = (short)((events & POLLIN ? EV_READ : 0) | (events & POLLOUT ? EV_WRITE : 0));

	if (events < 0 || fd < 0) {
		dbus->lost = dbus->again = true;
		return;
	}
	if (wants == dbus->io_wants)
		return;
	if (dbus->io_wants)
		event_del(dbus->io);
	dbus->io_wants = wants;
	if (wants == 0)
		return;
	event_assign(dbus->io, dbus->base, fd, (short)(wants | EV_PERSIST), on_turn, dbus);
	event_add(dbus->io, NULL);
}

static uint64_t sooner(uint64_t usec, uint64_t other)
{
	return other > 0 && other < usec ? other : usec;
}

/* @usec: when something of our own is due. sd-bus has a time of its own, which may be now. */
static void watch_time(struct dbus *dbus, uint64_t now, uint64_t usec)
{
	uint64_t until = UINT64_MAX;

	if (sd_bus_get_timeout(dbus->connection, &until) >= 0 && until != UINT64_MAX && !dbus->again) {
		if (until <= now)
			dbus->again = true;
		else
			usec = sooner(usec, until - now);
	}
	if (dbus->again) {
		event_active(dbus->timer, EV_TIMEOUT, 0);
	} else if (usec != UINT64_MAX) {
		struct timeval after = { (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };

		event_add(dbus->timer, &after);
	} else {
		event_del(dbus->timer);
	}
	dbus->again = false;
}

void dbus_prepare(struct dbus *dbus)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC), usec = UINT64_MAX;

	if (dbus->connection && (dbus->lost || sd_bus_is_open(dbus->connection) <= 0)) {
		if (dbus->attempts == 0)
			msg_info("disconnected from the bus");
		disconnect(dbus);
		try_later(dbus);
	}
	if (!dbus->connection)
		return;
	if (sd_bus_is_ready(dbus->connection) > 0) {
		dbus_jobs_run(dbus);
		usec = sooner(usec, dbus_ping_run(dbus, now));
		usec = sooner(usec, dbus_manager_changed(dbus, now));
	}
	watch_socket(dbus);
	watch_time(dbus, now, usec);
}

/* Beginning and end */

int dbus_new(struct dbus **ret, enum dbus_kind kind, struct hub *hub, struct event_base *base,
	     struct budget *budget, const struct face_options *options,
	     unsigned int (*subscribers)(void *userdata), void *userdata)
{
	_cleanup_(dbus_free_p) struct dbus *dbus = calloc(1, sizeof(*dbus));

	if (!dbus)
		return -ENOMEM;
	*dbus = (struct dbus){ .kind = kind,
			       .hub = hub,
			       .base = base,
			       .budget = budget,
			       .options = *options,
			       .subscribers = subscribers,
			       .userdata = userdata };
	TAILQ_INIT(&dbus->ready);
	TAILQ_INIT(&dbus->unasked);
	dbus->io = event_new(base, -1, 0, on_turn, dbus);
	dbus->timer = event_new(base, -1, 0, on_turn, dbus);
	dbus->reopen = event_new(base, -1, 0, on_reopen, dbus);
	if (!dbus->io || !dbus->timer || !dbus->reopen || dbus_pings_new(dbus) < 0 ||
	    dbus_polkit_new(dbus) < 0)
		return -ENOMEM;
	try_connect(dbus);
	*ret = steal(dbus);
	return 0;
}

struct dbus *dbus_free(struct dbus *dbus)
{
	if (!dbus)
		return NULL;
	if (dbus->connection)
		disconnect(dbus);
	if (dbus->io)
		event_free(dbus->io);
	if (dbus->timer)
		event_free(dbus->timer);
	if (dbus->reopen)
		event_free(dbus->reopen);
	budget_free(dbus->pings);
	budget_free(dbus->queries);
	free(dbus);
	return NULL;
}

void dbus_set(struct dbus *dbus, const struct face_options *options)
{
	dbus->options = *options;
}

const struct face_stats *dbus_stats(const struct dbus *dbus)
{
	return &dbus->stats;
}
