// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <jansson.h>

#include "base/clock.h"
#include "serve/dbus/dictionary.h"
#include "serve/dbus/event-message.h"
#include "serve/dbus/objects.h"
#include "serve/dbus/peer.h"
#include "serve/dbus/polkit.h"

/* The shortest time between two broadcasts of changed properties. */
#define SIGNAL_USEC USEC_PER_SEC

/* Methods */

/* The request, and "all", which only D-Bus has. Return: 0; FILTER_E_INVALID, with @error filled; a negative errno. */
static int read_call(const struct dbus *dbus, sd_bus_message *call, json_t **ret, bool *all,
		     struct filter_error *error)
{
	json_t *value;
	int r = dbus_read_request(call, dbus->context.options.request_max, ret, error);

	if (r)
		return r;
	value = json_object_get(*ret, "all");
	if (value && !json_is_boolean(value))
		return filter_refuse(error, "all", "must be true or false");
	*all = json_is_true(value);
	(void)json_object_del(*ret, "all");
	return 0;
}

struct method {
	int (*parse)(struct request *request, json_t *object, struct filter_error *error);
	int (*begin)(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all);
	void (*answered)(struct dbus_peer *peer, sd_bus_message *call, bool granted);
};

static int ask_polkit(const struct method *method, struct dbus_peer *peer, sd_bus_message *call)
{
	int r = dbus_polkit_ask(peer, call, method->answered);

	if (r == -EBUSY)
		return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
						  "Too many questions to polkit are pending.");
	return r < 0 ? dbus_refuse(call, -ENOMEM, NULL) : 1;
}

/* @granted: polkit was asked, and lets the peer see all. */
static int begin(const struct method *method, struct dbus_peer *peer, sd_bus_message *call, bool granted)
{
	struct request request = {};
	struct filter_error error = {};
	json_auto_t *object = NULL;
	bool all = false;
	int r;

	r = read_call(peer->dbus, call, &object, &all, &error);
	if (r == 0)
		r = method->parse(&request, object, &error);
	if (r)
		return dbus_refuse(call, r, &error);
	if (all && !granted && !access_of(&peer->identity).all)
		r = ask_polkit(method, peer, call);
	else
		r = method->begin(peer, call, &request, granted);
	request_done(&request);
	return r;
}

static void answered(const struct method *method, struct dbus_peer *peer, sd_bus_message *call, bool granted)
{
	if (!granted)
		(void)sd_bus_reply_method_errorf(call, DBUS_ERROR("AccessDenied"),
						 "This user may not see the processes of all users.");
	else if (sd_bus_message_rewind(call, true) < 0 || begin(method, peer, call, true) < 0)
		(void)dbus_refuse(call, -ENOMEM, NULL);
}

static int parse_filter(struct request *request, json_t *object, struct filter_error *error)
{
	return filter_parse(&request->filter, object, error);
}

static void on_subscribe_answered(struct dbus_peer *peer, sd_bus_message *call, bool granted);
static void on_list_answered(struct dbus_peer *peer, sd_bus_message *call, bool granted);

static const struct method subscribe = { request_parse_object, dbus_subscribe, on_subscribe_answered };
static const struct method list_processes = { parse_filter, dbus_list, on_list_answered };

static void on_subscribe_answered(struct dbus_peer *peer, sd_bus_message *call, bool granted)
{
	answered(&subscribe, peer, call, granted);
}

static void on_list_answered(struct dbus_peer *peer, sd_bus_message *call, bool granted)
{
	answered(&list_processes, peer, call, granted);
}

static int on_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct dbus_peer *peer = dbus_sender(userdata, call);

	(void)error;
	return peer ? begin(&subscribe, peer, call, false) : -ENOTCONN;
}

static int on_list_processes(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct dbus_peer *peer = dbus_sender(userdata, call);

	(void)error;
	return peer ? begin(&list_processes, peer, call, false) : -ENOTCONN;
}

static int on_get_process(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct dbus *dbus = userdata;
	struct dbus_peer *peer = dbus_sender(dbus, call);
	sd_bus_message *reply = NULL;
	struct fb_event event;
	field_set fields = 0;
	uint32_t pid;
	int r;

	(void)error;
	r = sd_bus_message_read(call, "u", &pid);
	if (r < 0 || !peer)
		return r < 0 ? r : -ENOTCONN;
	fields = hub_find_process(dbus->context.hub, pid, access_of(&peer->identity), &event);
	/* A caller that may not see the process must not learn that it exists. */
	if (fields == 0)
		return sd_bus_reply_method_errorf(call, DBUS_ERROR("NoSuchProcess"),
						  "There is no process %u, or this user may not see it.",
						  pid);
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = dbus_append_event(reply, &event, ~fields);
	if (r >= 0)
		r = sd_bus_send(dbus->connection, reply, NULL);
	sd_bus_message_unref(reply);
	return r < 0 ? r : 1;
}

/* Properties */

static uint64_t count_received(const struct hub *hub)
{
	uint64_t sum = 0;

	for (enum event_type type = EVENT_NONE + 1; type < EVENT_SOURCE; type++)
		sum += hub_stats(hub)->events[type];
	return sum;
}

static uint64_t count_lost(const struct hub *hub)
{
	const struct hub_stats *stats = hub_stats(hub);

	return stats->kernel.count + stats->netlink.count + stats->unarmed.count + stats->source.count;
}

static int get_text(sd_bus *connection, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct dbus *dbus = userdata;
	const struct log *log = hub_log(dbus->context.hub);
	char cursor[CURSOR_TEXT_MAX];
	const char *text = strcmp(property, "Version") == 0 ? FORKBUS_VERSION
			   : strcmp(property, "Source") == 0
				   ? hub_source(dbus->context.hub)
				   : cursor_print(cursor, log_epoch(log), log_next(log) - 1);

	(void)connection, (void)path, (void)interface, (void)error;
	return sd_bus_message_append(reply, "s", text);
}

static int get_count(sd_bus *connection, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct dbus *dbus = userdata;

	(void)connection, (void)path, (void)interface, (void)error;
	if (strcmp(property, "Subscribers") == 0)
		return sd_bus_message_append(reply, "u",
					     dbus->context.count_subscribers(dbus->context.userdata));
	if (strcmp(property, "LongestTurnUsec") == 0)
		return sd_bus_message_append(reply, "t", dbus->context.longest_turn(dbus->context.userdata));
	return sd_bus_message_append(reply, "t",
				     strcmp(property, "EventsLost") == 0 ? count_lost(dbus->context.hub)
									 : count_received(dbus->context.hub));
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("o", subscription),
				on_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListProcesses", SD_BUS_ARGS("a{sv}", filter),
				SD_BUS_RESULT("a(uta{sv})", processes), on_list_processes,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetProcess", SD_BUS_ARGS("u", pid), SD_BUS_RESULT("a{sv}", process),
				on_get_process, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Version", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Source", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Cursor", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("EventsReceived", "t", get_count, 0, 0),
	SD_BUS_PROPERTY("EventsLost", "t", get_count, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Subscribers", "u", get_count, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("LongestTurnUsec", "t", get_count, 0, 0),
	SD_BUS_VTABLE_END,
};

static struct dbus_properties read_properties(const struct dbus *dbus)
{
	struct dbus_properties now = { .lost = count_lost(dbus->context.hub),
				       .subscribers =
					       dbus->context.count_subscribers(dbus->context.userdata) };

	snprintf(now.source, sizeof(now.source), "%s", hub_source(dbus->context.hub));
	return now;
}

int dbus_manager_add(struct dbus *dbus)
{
	int r;

	/* A new client reads them. */
	dbus->properties = read_properties(dbus);
	r = sd_bus_add_object_vtable(dbus->connection, NULL, DBUS_PATH, DBUS_NAME ".Manager", vtable, dbus);
	return r < 0 ? r : 0;
}

uint64_t dbus_manager_changed(struct dbus *dbus, uint64_t now_usec)
{
	struct dbus_properties now = read_properties(dbus), *last = &dbus->properties;
	const char *names[4] = {};
	size_t n = 0;

	if (strcmp(now.source, last->source) != 0)
		names[n++] = "Source";
	if (now.lost != last->lost)
		names[n++] = "EventsLost";
	if (now.subscribers != last->subscribers)
		names[n++] = "Subscribers";
	if (n == 0)
		return 0;
	if (now_usec < last->usec + SIGNAL_USEC)
		return last->usec + SIGNAL_USEC - now_usec;
	now.usec = now_usec;
	*last = now;
	(void)sd_bus_emit_properties_changed_strv(dbus->connection, DBUS_PATH, DBUS_NAME ".Manager",
						  (char **)(uintptr_t)names);
	return 0;
}
