// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "server.h"

#define NOTIFICATIONS	   "org.freedesktop.Notifications"
#define NOTIFICATIONS_PATH "/org/freedesktop/Notifications"
#define DESKTOP_ENTRY	   "forkbus-notify"

/* If there is no server, the bus may be able to start one. It is asked to at most once in this time. */
#define SERVER_START_USEC (30 * USEC_PER_SEC)

/* Capabilities of a server */
struct capabilities {
	bool body, markup;
};

/* --- messages of the protocol ------------------------------------------------------------------------------------- */

/* Read the capabilities from the answer to GetCapabilities. Return: 0 or a negative errno. */
static int capabilities_read(struct capabilities *capabilities, sd_bus_message *reply)
{
	struct capabilities read = {};
	const char *name;
	int r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "s");

	while (r >= 0 && (r = sd_bus_message_read(reply, "s", &name)) > 0) {
		read.body = read.body || strcmp(name, "body") == 0;
		read.markup = read.markup || strcmp(name, "body-markup") == 0;
	}
	if (r >= 0)
		*capabilities = read;
	return r;
}

char *markup_escape(char *buf, const char *text)
{
	char *at = buf;

	for (; *text != '\0'; text++) {
		switch (*text) {
		case '&':
			at = stpcpy(at, "&amp;");
			break;
		case '<':
			at = stpcpy(at, "&lt;");
			break;
		case '>':
			at = stpcpy(at, "&gt;");
			break;
		case '"':
			at = stpcpy(at, "&quot;");
			break;
		case '\'':
			at = stpcpy(at, "&#39;");
			break;
		default:
			*at++ = *text;
		}
	}
	*at = '\0';
	return buf;
}

static int append_hints(sd_bus_message *call, const struct notice *notice)
{
	int r = sd_bus_message_open_container(call, SD_BUS_TYPE_ARRAY, "{sv}");

	if (r >= 0)
		r = sd_bus_message_append(call, "{sv}{sv}{sv}{sv}", "urgency", "y", (int)notice->urgency,
					  "category", "s", notice_category(notice), "desktop-entry", "s",
					  DESKTOP_ENTRY, "sender-pid", "x", (int64_t)getpid());
	if (r >= 0 && notice_is_transient(notice))
		r = sd_bus_message_append(call, "{sv}", "transient", "b", 1);
	return r < 0 ? r : sd_bus_message_close_container(call);
}

/*
 * Create a call of Notify. The server decides by the urgency how long the notification stays.
 * @ret: to be unreferenced
 * @server: the server's unique name
 * @replaces: the id of the notification that it replaces, or 0
 * Return: 0 or a negative errno.
 */
static int call_new(sd_bus_message **ret, sd_bus *bus, const char *server,
		    const struct capabilities *capabilities, const struct notice *notice, uint32_t replaces)
{
	char escaped[MARKUP_FACTOR * NOTICE_BODY_MAX];
	const char *body = capabilities->markup ? markup_escape(escaped, notice->body) : notice->body;
	sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(bus, &call, server, NOTIFICATIONS_PATH, NOTIFICATIONS,
					       "Notify");

	if (r >= 0)
		r = sd_bus_message_append(call, "susssas", "forkbus-notify", replaces, notice_icon(notice),
					  notice->summary, capabilities->body ? body : "", 0);
	if (r >= 0)
		r = append_hints(call, notice);
	if (r >= 0)
		r = sd_bus_message_append(call, "i", (int32_t)-1);
	if (r < 0) {
		sd_bus_message_unref(call);
		return r;
	}
	*ret = call;
	return 0;
}

/* --- the server --------------------------------------------------------------------------------------------------- */

enum state {
	STATE_ABSENT, /* there is no server */
	STATE_ASKED,  /* a query is pending: for the server's name, or for its capabilities */
	STATE_READY
};

struct server {
	sd_event *event;
	sd_bus *bus;
	struct queue *queue;
	sd_bus_slot *owner_changed, *closed, *question;
	sd_event_source *timer;
	enum state state;
	char *owner; /* its unique name, when it is ready */
	struct capabilities capabilities;
	bool refused;	     /* this server refused something, which was logged */
	bool starting;	     /* the query starts it */
	bool missed;	     /* it was logged that there is no server */
	uint64_t start_usec; /* the bus is not asked to start one before this time */
};

static uint64_t server_now(const struct server *server)
{
	uint64_t now = 0;

	(void)sd_event_now(server->event, CLOCK_MONOTONIC, &now);
	return now;
}

/* Enter the state without a server: nothing is on the screen, and late replies are ignored. */
static void server_forget(struct server *server)
{
	free(server->owner);
	server->owner = NULL;
	server->question = sd_bus_slot_unref(server->question);
	server->state = STATE_ABSENT;
	server->refused = server->starting = false;
	queue_reset(server->queue);
}

static int on_capabilities(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct server *server = userdata;
	const char *sender = sd_bus_message_get_sender(reply);

	(void)error;
	server->question = sd_bus_slot_unref(server->question);
	server->state = STATE_ABSENT;
	server->starting = false;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		if (!server->missed)
			msg_info("no notification server (%s); notifications wait for one",
				 sd_bus_message_get_error(reply)->name);
		server->missed = true;
		server_update(server);
		return 0;
	}
	free(server->owner);
	server->owner = sender ? strdup(sender) : NULL;
	if (!server->owner || capabilities_read(&server->capabilities, reply) < 0) {
		msg_warning("the notification server sent an invalid reply");
		return 0;
	}
	server->state = STATE_READY;
	server->missed = false;
	server_update(server);
	return 0;
}

/* If the name has no owner, the bus may start a server for this query. */
static void server_ask(struct server *server)
{
	int r;

	server->question = sd_bus_slot_unref(server->question);
	r = sd_bus_call_method_async(server->bus, &server->question, NOTIFICATIONS, NOTIFICATIONS_PATH,
				     NOTIFICATIONS, "GetCapabilities", on_capabilities, server, NULL);
	if (r < 0)
		msg_warning("cannot query the notification server: %s", strerror(-r));
	else
		server->state = STATE_ASKED;
}

/* The server is gone or does not answer: what it shows is unknown. */
static bool is_absence(const sd_bus_error *error)
{
	static const char *const names[] = {
		SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
		SD_BUS_ERROR_NO_REPLY,	      SD_BUS_ERROR_DISCONNECTED,
		SD_BUS_ERROR_TIMEOUT,	      "org.freedesktop.DBus.Error.TimedOut",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (sd_bus_error_has_name(error, names[i]))
			return true;
	return false;
}

static int on_notified(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct server *server = userdata;
	uint64_t call = 0;
	uint32_t id;

	(void)error;
	(void)sd_bus_message_get_reply_cookie(reply, &call);
	if (sd_bus_message_is_method_error(reply, NULL) && is_absence(sd_bus_message_get_error(reply))) {
		server_forget(server);
		return 0;
	}
	if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "u", &id) > 0) {
		queue_shown(server->queue, call, id);
	} else {
		if (!server->refused)
			msg_warning("the notification server refused a notification: %s",
				    sd_bus_message_is_method_error(reply, NULL)
					    ? sd_bus_message_get_error(reply)->name
					    : "invalid reply");
		server->refused = true;
		queue_refused(server->queue, call);
	}
	server_update(server);
	return 0;
}

static int send_place(struct server *server, unsigned int place)
{
	sd_bus_message *call = NULL;
	struct notice notice;
	uint64_t number = 0;
	int r;

	queue_describe(server->queue, place, &notice);
	r = call_new(&call, server->bus, server->owner, &server->capabilities, &notice,
		     server->queue->places[place].id);
	if (r >= 0)
		r = sd_bus_call_async(server->bus, NULL, call, on_notified, server, 0);
	if (r >= 0)
		r = sd_bus_message_get_cookie(call, &number);
	if (r >= 0)
		queue_sent(server->queue, place, number, server_now(server));
	sd_bus_message_unref(call);
	return r;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source, (void)usec;
	server_update(userdata);
	return 0;
}

static void arm_timer(struct server *server, uint64_t usec)
{
	if (usec == UINT64_MAX)
		return;
	(void)sd_event_source_set_time(server->timer, usec);
	(void)sd_event_source_set_enabled(server->timer, SD_EVENT_ONESHOT);
}

/* There is a notification to show, but no server. */
static void server_start(struct server *server, uint64_t now)
{
	if (now < server->start_usec) {
		arm_timer(server, server->start_usec);
		return;
	}
	server->start_usec = now + SERVER_START_USEC;
	server_ask(server);
	server->starting = server->state == STATE_ASKED;
}

void server_update(struct server *server)
{
	uint64_t now = server_now(server), when;
	int place = queue_next(server->queue, now, &when), r = 0;

	if (server->state == STATE_ABSENT && place >= 0)
		server_start(server, now);
	if (server->state != STATE_READY)
		return;
	while (r >= 0 && place >= 0) {
		r = send_place(server, (unsigned int)place);
		place = queue_next(server->queue, now, &when);
	}
	if (r < 0)
		msg_warning("cannot call the notification server: %s", strerror(-r));
	arm_timer(server, when);
}

/* @owner: of the name, "" for none. */
static void set_owner(struct server *server, const char *owner)
{
	server_forget(server);
	if (*owner != '\0')
		server_ask(server);
}

static int on_owner_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	struct server *server = userdata;
	const char *name, *old, *new;

	(void)error;
	if (sd_bus_message_read(signal, "sss", &name, &old, &new) < 0 || strcmp(name, NOTIFICATIONS) != 0)
		return 0;
	/* Our query started this server, which will answer it. */
	if (server->starting && *old == '\0')
		return 0;
	if (server->owner && *new == '\0')
		msg_info("the notification server is gone; notifications wait for another one");
	set_owner(server, new);
	return 0;
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct server *server = userdata;
	const char *owner;

	(void)error;
	server->question = sd_bus_slot_unref(server->question);
	server->state = STATE_ABSENT;
	if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "s", &owner) > 0)
		set_owner(server, owner);
	else
		server_update(server);
	return 0;
}

static int on_closed(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	struct server *server = userdata;
	const char *sender = sd_bus_message_get_sender(signal);
	uint32_t id, reason;

	(void)error;
	if (!server->owner || !sender || strcmp(sender, server->owner) != 0 ||
	    sd_bus_message_read(signal, "uu", &id, &reason) < 0)
		return 0;
	queue_closed(server->queue, id);
	server_update(server);
	return 0;
}

/* The matches are sent before the query, so that no change is missed. */
static int server_listen(struct server *server)
{
	int r = sd_bus_add_match_async(server->bus, &server->owner_changed,
				       "type='signal',sender='org.freedesktop.DBus',"
				       "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
				       "arg0='" NOTIFICATIONS "'",
				       on_owner_changed, NULL, server);

	if (r >= 0)
		r = sd_bus_add_match_async(server->bus, &server->closed,
					   "type='signal',path='" NOTIFICATIONS_PATH "',"
					   "interface='" NOTIFICATIONS "',member='NotificationClosed'",
					   on_closed, NULL, server);
	if (r >= 0)
		r = sd_bus_call_method_async(server->bus, &server->question, "org.freedesktop.DBus",
					     "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner",
					     on_owner, server, "s", NOTIFICATIONS);
	return r;
}

int server_new(struct server **ret, sd_event *event, sd_bus *bus, struct queue *queue)
{
	struct server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->event = sd_event_ref(event);
	server->bus = sd_bus_ref(bus);
	server->queue = queue;
	server->state = STATE_ASKED;
	r = sd_event_add_time(event, &server->timer, CLOCK_MONOTONIC, 0, 0, on_timer, server);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = server_listen(server);
	if (r < 0) {
		server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

struct server *server_free(struct server *server)
{
	if (!server)
		return NULL;
	sd_bus_slot_unref(server->owner_changed);
	sd_bus_slot_unref(server->closed);
	sd_bus_slot_unref(server->question);
	sd_event_source_unref(server->timer);
	sd_bus_unref(server->bus);
	sd_event_unref(server->event);
	free(server->owner);
	free(server);
	return NULL;
}
