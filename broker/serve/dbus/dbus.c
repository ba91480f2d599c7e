// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The D-Bus face: proto/org.forkbus1.xml on a message bus. If there is no bus, or the connection is lost, it tries to
 * connect again.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "core/priority.h"
#include "core/slice.h"
#include "serve/dbus/context.h"
#include "serve/dbus/job.h"
#include "serve/dbus/objects.h"
#include "serve/dbus/peer.h"
#include "serve/dbus/ping.h"
#include "serve/dbus/polkit.h"

#define SYSTEM_ADDRESS "unix:path=/run/dbus/system_bus_socket"
/* It tries to connect after 1, 2, 4, … s. */
#define REOPEN_MAX_SEC 60

static const char *bus_name(const struct dbus *dbus)
{
	return dbus->context.bus == FACE_BUS_USER ? "session" : "system";
}

/* The connection */

/* As in the addresses of D-Bus: of other bytes, the code. Return: to be freed, or NULL without memory. */
static char *escape_address(const char *path)
{
	char *escaped = malloc(3 * strlen(path) + 1), *at = escaped;

	for (; escaped && *path; path++)
		if (isalnum((unsigned char)*path) || strchr("-_/.\\*", *path))
			*at++ = *path;
		else
			at += sprintf(at, "%%%02x", (unsigned char)*path);
	if (escaped)
		*at = '\0';
	return escaped;
}

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

/* Logged once for each reason. */
static void report_failure(struct dbus *dbus, int r, const char *what)
{
	if (dbus->reported == r)
		return;
	dbus->reported = r;
	errno = -r;
	if (r == -ENOENT || r == -ECONNREFUSED)
		msg_info("no %s bus yet", bus_name(dbus));
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
		msg_info("on the %s bus as " DBUS_NAME, bus_name(dbus));
	return 0;
}

/* The address of the bus, as sd-bus finds it. Return: to be freed, or NULL without memory. */
static char *bus_address(const struct dbus *dbus)
{
	const char *named = dbus->context.bus == FACE_BUS_USER ? secure_getenv("DBUS_SESSION_BUS_ADDRESS")
							       : secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
	const char *directory = secure_getenv("XDG_RUNTIME_DIR");
	_cleanup_free_ char *escaped = NULL;
	char *address = NULL;

	if (named)
		return strdup(named);
	if (dbus->context.bus != FACE_BUS_USER)
		return strdup(SYSTEM_ADDRESS);
	if (directory)
		escaped = escape_address(directory);
	return escaped && asprintf(&address, "unix:path=%s/bus", escaped) >= 0 ? address : NULL;
}

/*
 * As sd_bus_open_system() and sd_bus_open_user(), but without descriptors in messages: no call has any, and the kernel would
 * close them in the loop, which waits if one is a TCP socket that lingers.
 */
static int open_bus(struct dbus *dbus)
{
	_cleanup_free_ char *address = bus_address(dbus);
	int r = address ? sd_bus_new(&dbus->connection) : -ENOENT;

	if (r >= 0)
		r = sd_bus_set_description(dbus->connection, "forkbusd");
	if (r >= 0)
		r = sd_bus_set_address(dbus->connection, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(dbus->connection, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(dbus->connection, false);
	return r < 0 ? r : sd_bus_start(dbus->connection);
}

static int connect_bus(struct dbus *dbus)
{
	int r = open_bus(dbus);

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

static void run(struct dbus *dbus);

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	struct slice slice = slice_begin(SLICE_NSEC);
	struct dbus *dbus = userdata;
	int r = 1;

	(void)fd, (void)what;
	while (r > 0 && !dbus->lost && !slice_is_over(&slice, SLICE_DEAR))
		r = sd_bus_process(dbus->connection, NULL);
	dbus->lost |= r < 0;
	dbus->again |= r > 0;
	/* The loop does not wait while there is something to do: it may be long until dbus_prepare(). */
	if (!dbus->lost)
		run(dbus);
}

static void on_work(evutil_socket_t fd, short what, void *userdata)
{
	struct dbus *dbus = userdata;

	(void)fd, (void)what;
	if (dbus->connection && !dbus->lost)
		run(dbus);
}

static void on_later(evutil_socket_t fd, short what, void *userdata)
{
	struct dbus *dbus = userdata;

	(void)fd, (void)what;
	if (dbus->connection && !dbus->lost)
		dbus_jobs_run_late(dbus);
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
	event_assign(dbus->io, dbus->context.base, fd, (short)(wants | EV_PERSIST), on_turn, dbus);
	event_priority_set(dbus->io, PRIORITY_REQUEST);
	event_add(dbus->io, NULL);
}

static uint64_t sooner(uint64_t usec, uint64_t other)
{
	return other > 0 && other < usec ? other : usec;
}

/* @usec: when the broker's next action is due. sd-bus has its own time limit, which may be now. */
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
		struct timeval after = usec_to_timeval(usec);

		event_add(dbus->timer, &after);
	} else {
		event_del(dbus->timer);
	}
	dbus->again = false;
}

/*
 * Sends as much as one turn allows, and makes the loop wake up when the bus needs it: any call of sd-bus may change the
 * events that it waits for.
 */
static void run(struct dbus *dbus)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC), usec = UINT64_MAX;

	if (sd_bus_is_ready(dbus->connection) > 0) {
		dbus_jobs_run(dbus);
		usec = sooner(usec, dbus_ping_run(dbus, now));
		usec = sooner(usec, dbus_manager_changed(dbus, now));
	}
	watch_socket(dbus);
	watch_time(dbus, now, usec);
}

static void dbus_prepare(struct face *face)
{
	struct dbus *dbus = (struct dbus *)face;

	if (dbus->connection && (dbus->lost || sd_bus_is_open(dbus->connection) <= 0)) {
		if (dbus->attempts == 0)
			msg_info("disconnected from the bus");
		disconnect(dbus);
		try_later(dbus);
	}
	if (dbus->connection)
		run(dbus);
}

/* The face */

static void dbus_done(struct dbus *dbus)
{
	if (dbus->connection)
		disconnect(dbus);
	if (dbus->io)
		event_free(dbus->io);
	if (dbus->timer)
		event_free(dbus->timer);
	if (dbus->reopen)
		event_free(dbus->reopen);
	if (dbus->work)
		event_free(dbus->work);
	if (dbus->later)
		event_free(dbus->later);
	free(dbus);
}

DEFINE_CLEANUP(struct dbus, dbus_done)

static int dbus_new(struct face **ret, const struct face_context *context)
{
	_cleanup_(dbus_done_p) struct dbus *dbus = NULL;

	*ret = NULL;
	if (context->bus == FACE_BUS_NONE)
		return 0;
	dbus = calloc(1, sizeof(*dbus));
	if (!dbus)
		return -ENOMEM;
	dbus->face.ops = &dbus_face;
	dbus->context = *context;
	TAILQ_INIT(&dbus->ready);
	TAILQ_INIT(&dbus->late);
	TAILQ_INIT(&dbus->unasked);
	dbus->io = event_new(context->base, -1, 0, on_turn, dbus);
	dbus->timer = event_new(context->base, -1, 0, on_turn, dbus);
	dbus->reopen = event_new(context->base, -1, 0, on_reopen, dbus);
	dbus->work = event_new(context->base, -1, 0, on_work, dbus);
	dbus->later = event_new(context->base, -1, 0, on_later, dbus);
	if (!dbus->io || !dbus->timer || !dbus->reopen || !dbus->work || !dbus->later)
		return -ENOMEM;
	event_priority_set(dbus->timer, PRIORITY_REQUEST);
	event_priority_set(dbus->work, PRIORITY_DELIVERY);
	event_priority_set(dbus->later, PRIORITY_LATE);
	dbus_pings_limit(dbus);
	dbus_polkit_limit(dbus);
	try_connect(dbus);
	*ret = &steal(dbus)->face;
	return 0;
}

static struct face *dbus_free(struct face *face)
{
	dbus_done((struct dbus *)face);
	return NULL;
}

static void dbus_set_options(struct face *face, const struct face_options *options)
{
	((struct dbus *)face)->context.options = *options;
}

static const struct face_stats *dbus_stats(const struct face *face)
{
	return &((const struct dbus *)face)->stats;
}

const struct face_ops dbus_face = {
	.name = "dbus",
	.new = dbus_new,
	.free = dbus_free,
	.set_options = dbus_set_options,
	.stats = dbus_stats,
	.prepare = dbus_prepare,
};
