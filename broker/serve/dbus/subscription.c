// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)
#include "base/cleanup.h"
#include "base/message.h"
#include "serve/dbus/dictionary.h"
#include "serve/dbus/event-message.h"
#include "serve/dbus/job.h"
#include "serve/dbus/objects.h"
#include "serve/dbus/peer.h"
#include "serve/dbus/ping.h"

struct dbus_subscription {
	struct dbus_job job;
	struct dbus *dbus;
	uint64_t number;
	char path[sizeof(DBUS_SUBSCRIPTION) + 21];
	uint64_t sent, dropped; /* signals; events that were reported as lost */
	UT_hash_handle hh;
};

static struct dbus_subscription *of_job(struct dbus_job *job)
{
	return (struct dbus_subscription *)((char *)job - offsetof(struct dbus_subscription, job));
}

static void subscription_free(struct dbus_job *job)
{
	struct dbus_subscription *subscription = of_job(job);
	struct dbus *dbus = subscription->dbus;

	if (subscription->hh.tbl) {
		HASH_DEL(dbus->subscriptions, subscription);
		dbus->stats.subscribers--;
	}
	dbus_job_end(job);
	free(subscription);
}

/* Signals */

/* The number of events that this lost event reports as lost for this subscriber only. */
static uint64_t count_dropped(const struct fb_event *event)
{
	return event->type == EVENT_LOST && EVENT_HAS(event, from) && EVENT_HAS(event, count) ? event->count
											      : 0;
}

/* Send the events at @data, within the limits. Return: the bytes that were processed; *r: a negative errno on failure. */
static size_t send_events(struct dbus_subscription *subscription, const char *data, size_t size,
			  unsigned int *budget, int *r)
{
	struct dbus_peer *peer = subscription->job.peer;
	unsigned int room = dbus_ping_room(peer);
	struct fb_event event;
	size_t taken = 0, one;

	for (*r = 0; taken<size && * budget> 0 && room > 0; --*budget, room--) {
		one = encoding_unpack(&event, data + taken);
		*r = dbus_send_event(subscription->dbus->connection, peer->name, subscription->path, &event);
		if (*r < 0)
			break;
		subscription->sent++;
		peer->window.sent++;
		subscription->dropped += count_dropped(&event);
		taken += one;
	}
	return taken;
}

static int subscription_run(struct dbus_job *job, unsigned int *budget)
{
	struct dbus_subscription *subscription = of_job(job);
	const char *data;
	size_t taken;
	ssize_t n;
	int r, failed;

	if (dbus_ping_room(job->peer) == 0) {
		dbus_job_block(job);
		return 0;
	}
	n = cursor_peek(&job->cursor, &data);
	if (n <= 0)
		return (int)n;
	taken = send_events(subscription, data, (size_t)n, budget, &failed);
	r = cursor_sent(&job->cursor, taken);
	dbus_ping_note(job->peer);
	if (r < 0)
		return r;
	if (failed < 0 && failed != -ENOMEM && failed != -ENOBUFS) {
		errno = -failed;
		msg_warning("%s: cannot send a signal: %m", subscription->path);
		return failed;
	}
	return -EAGAIN;
}

/* The object */

/*
 * A bare pid got the start of the process that had it, which may be another user's. So who does not see all reads no starts,
 * not even those of the request.
 */
static char *print_filter(const struct view *view)
{
	struct filter shown = *view->filter;
	_cleanup_free_ struct process_id *pids = NULL;

	if (view->visibility.all)
		return filter_print(view->filter);
	pids = calloc(shown.n_pids + 1, sizeof(*pids));
	if (!pids)
		return NULL;
	for (size_t i = 0; i < shown.n_pids; i++)
		pids[i].pid = shown.pids[i].pid;
	shown.pids = pids;
	shown.tree.start_usec = 0;
	filter_pids_sort(&shown);
	return filter_print(&shown);
}

static int get_filter(sd_bus *connection, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dbus_subscription *subscription = userdata;
	_cleanup_free_ char *text = print_filter(subscription->job.cursor.reader.view);
	json_auto_t *object = text ? json_loads(text, 0, NULL) : NULL;

	(void)connection, (void)path, (void)interface, (void)property, (void)error;
	return object ? dbus_append_object(reply, object) : -ENOMEM;
}

static int get_cursor(sd_bus *connection, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dbus_subscription *subscription = userdata;
	char text[CURSOR_TEXT_MAX];

	(void)connection, (void)path, (void)interface, (void)property, (void)error;
	/* Moves the cursor past events that are not for it. */
	(void)cursor_is_idle(&subscription->job.cursor);
	return sd_bus_message_append(reply, "s", cursor_position(&subscription->job.cursor, text));
}

static int on_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct dbus_subscription *subscription = userdata;

	(void)error;
	subscription_free(&subscription->job);
	return sd_bus_reply_method_return(call, NULL);
}

#define PROCESS_ARGS "t", seq, "u", pid, "t", start_usec

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_unsubscribe,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Filter", "a{sv}", get_filter, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Cursor", "s", get_cursor, 0, 0),
	SD_BUS_PROPERTY("Sent", "t", NULL, offsetof(struct dbus_subscription, sent), 0),
	SD_BUS_PROPERTY("Dropped", "t", NULL, offsetof(struct dbus_subscription, dropped), 0),
	SD_BUS_SIGNAL_WITH_ARGS("ProcessForked", SD_BUS_ARGS(PROCESS_ARGS, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("ProcessExecuted", SD_BUS_ARGS(PROCESS_ARGS, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("ProcessExited", SD_BUS_ARGS(PROCESS_ARGS, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("ProcessChanged", SD_BUS_ARGS(PROCESS_ARGS, "s", change, "a{sv}", details),
				0),
	SD_BUS_SIGNAL_WITH_ARGS("ProcessListed", SD_BUS_ARGS("u", pid, "t", start_usec, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Ready", SD_BUS_ARGS("s", cursor), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("s", reason, "t", count, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("SourceChanged",
				SD_BUS_ARGS("t", seq, "s", source, "s", reason, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

/* The object exists only for its owner and root. */
static bool is_visible(const struct dbus_subscription *subscription)
{
	struct dbus *dbus = subscription->dbus;
	const struct dbus_peer *peer = dbus_sender(dbus, sd_bus_get_current_message(dbus->connection));

	return peer && (peer == subscription->job.peer || peer->identity.uid == 0);
}

static int find_object(sd_bus *connection, const char *path, const char *interface, void *userdata,
		       void **ret, sd_bus_error *error)
{
	struct dbus_subscription *subscription = NULL;
	struct dbus *dbus = userdata;
	uint64_t number = 0;

	(void)connection, (void)interface, (void)error;
	if (sscanf(path, DBUS_SUBSCRIPTION "/%" SCNu64, &number) == 1)
		HASH_FIND(hh, dbus->subscriptions, &number, sizeof(number), subscription);
	if (!subscription || strcmp(subscription->path, path) != 0 || !is_visible(subscription))
		return 0;
	*ret = subscription;
	return 1;
}

static int list_objects(sd_bus *connection, const char *prefix, void *userdata, char ***ret,
			sd_bus_error *error)
{
	struct dbus *dbus = userdata;
	char **paths = calloc(HASH_COUNT(dbus->subscriptions) + 1, sizeof(*paths));
	size_t n = 0;

	(void)connection, (void)prefix, (void)error;
	for (struct dbus_subscription *each = dbus->subscriptions; paths && each; each = each->hh.next) {
		if (!is_visible(each))
			continue;
		paths[n] = strdup(each->path);
		if (paths[n++])
			continue;
		while (n > 0)
			free(paths[--n]);
		free(paths);
		paths = NULL;
	}
	*ret = paths;
	return paths ? 0 : -ENOMEM;
}

int dbus_subscriptions_add(struct dbus *dbus)
{
	int r = sd_bus_add_fallback_vtable(dbus->connection, NULL, DBUS_SUBSCRIPTION,
					   DBUS_NAME ".Subscription", vtable, find_object, dbus);

	if (r >= 0)
		r = sd_bus_add_node_enumerator(dbus->connection, NULL, DBUS_SUBSCRIPTION, list_objects, dbus);
	return r < 0 ? r : 0;
}

/* Return: 0 or -ENOMEM. */
static int register_object(struct dbus_subscription *subscription)
{
	struct dbus *dbus = subscription->dbus;
	bool oom = false;

	subscription->number = ++dbus->last_subscription;
	snprintf(subscription->path, sizeof(subscription->path), DBUS_SUBSCRIPTION "/%" PRIu64,
		 subscription->number);
	HASH_ADD(hh, dbus->subscriptions, number, sizeof(subscription->number), subscription);
	if (oom)
		return -ENOMEM;
	dbus->stats.subscribers++;
	return 0;
}

int dbus_subscribe(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all)
{
	struct dbus_subscription *subscription;
	struct filter_error error = {};
	int r;

	if (dbus_job_reserve(peer, call) != 0)
		return 1;
	subscription = calloc(1, sizeof(*subscription));
	if (!subscription) {
		budget_give(peer->account, BUDGET_CONNECTIONS, 1);
		return dbus_refuse(call, -ENOMEM, NULL);
	}
	subscription->dbus = peer->dbus;
	subscription->job.run = subscription_run;
	subscription->job.free = subscription_free;
	r = dbus_job_begin(&subscription->job, peer, request, all, &error);
	if (r == 0)
		r = register_object(subscription);
	if (r == 0)
		/* Answered before the first signal, which the loop's next turn sends. */
		r = sd_bus_reply_method_return(call, "o", subscription->path);
	if (r >= 0 && subscription->hh.tbl) {
		dbus_job_ready(&subscription->job);
		return 1;
	}
	subscription_free(&subscription->job);
	return dbus_refuse(call, r, &error);
}
