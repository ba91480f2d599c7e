// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * notifications CAPABILITY… - a server of notifications on the session bus that shows nothing, but prints each request as a
 * line of JSON. It reads commands from standard input, one per line:
 *
 *   close ID REASON   report that a notification was closed
 *   refuse            answer later requests with an error
 *   mute              do not answer later requests
 *   accept            answer as usual again
 *
 * Ends with its input.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <jansson.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define NOTIFICATIONS	   "org.freedesktop.Notifications"
#define NOTIFICATIONS_PATH "/org/freedesktop/Notifications"

static char **capabilities;
static enum { ACCEPT, REFUSE, MUTE } manner;
static uint32_t last_id;

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "notifications: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void say(json_t *object)
{
	check(object ? json_dumpf(object, stdout, JSON_COMPACT | JSON_SORT_KEYS) : -1, "JSON");
	putchar('\n');
	fflush(stdout);
	json_decref(object);
}

static int on_capabilities(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	sd_bus_message *reply = NULL;
	int r;

	(void)userdata, (void)error;
	say(json_pack("{ss}", "call", "GetCapabilities"));
	check(sd_bus_message_new_method_return(call, &reply), "reply");
	check(sd_bus_message_append_strv(reply, capabilities), "reply");
	r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

/* Values with the letter of their type: "y2" is no "i2". */
static json_t *read_value(sd_bus_message *call)
{
	const char *content;
	char type, text[64];
	const char *string;
	uint8_t byte;
	int64_t number;
	int flag;

	check(sd_bus_message_peek_type(call, &type, &content), "hint");
	check(sd_bus_message_enter_container(call, type, content), "hint");
	switch (*content) {
	case 'y':
		check(sd_bus_message_read(call, "y", &byte), "hint");
		snprintf(text, sizeof(text), "y%u", byte);
		string = text;
		break;
	case 'b':
		check(sd_bus_message_read(call, "b", &flag), "hint");
		snprintf(text, sizeof(text), "b%d", flag);
		string = text;
		break;
	case 'x':
		check(sd_bus_message_read(call, "x", &number), "hint");
		snprintf(text, sizeof(text), "x%" PRId64, number);
		string = text;
		break;
	default:
		check(sd_bus_message_read(call, "s", &string), "hint");
	}
	check(sd_bus_message_exit_container(call), "hint");
	return json_string(string);
}

static json_t *read_hints(sd_bus_message *call)
{
	json_t *hints = json_object();
	const char *key;

	check(sd_bus_message_enter_container(call, 'a', "{sv}"), "hints");
	while (sd_bus_message_enter_container(call, 'e', "sv") > 0) {
		check(sd_bus_message_read(call, "s", &key), "hint");
		json_object_set_new(hints, key, read_value(call));
		check(sd_bus_message_exit_container(call), "hint");
	}
	check(sd_bus_message_exit_container(call), "hints");
	return hints;
}

static int on_notify(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const char *name, *icon, *summary, *body;
	uint32_t replaces, id;
	int32_t expire;
	json_t *hints;

	(void)userdata, (void)error;
	check(sd_bus_message_read(call, "susss", &name, &replaces, &icon, &summary, &body), "Notify");
	check(sd_bus_message_skip(call, "as"), "actions");
	hints = read_hints(call);
	check(sd_bus_message_read(call, "i", &expire), "expire");
	id = manner == ACCEPT ? replaces ? replaces : ++last_id : 0;
	say(json_pack("{ss ss sI sI ss ss ss so si}", "call", "Notify", "name", name, "replaces",
		      (json_int_t)replaces, "id", (json_int_t)id, "icon", icon, "summary", summary, "body",
		      body, "hints", hints, "expire", (int)expire));
	switch (manner) {
	case ACCEPT:
		return sd_bus_reply_method_return(call, "u", id);
	case REFUSE:
		return sd_bus_reply_method_errorf(call, "org.forkbus.test.Refused", "not today");
	default:
		return 1;
	}
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetCapabilities", "", "as", on_capabilities, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Notify", "susssasa{sv}i", "u", on_notify, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("NotificationClosed", "uu", 0),
	SD_BUS_VTABLE_END,
};

static void obey(sd_bus *bus, const char *line)
{
	uint32_t id, reason;

	if (sscanf(line, "close %" SCNu32 " %" SCNu32, &id, &reason) == 2)
		check(sd_bus_emit_signal(bus, NOTIFICATIONS_PATH, NOTIFICATIONS, "NotificationClosed", "uu",
					 id, reason),
		      "NotificationClosed");
	else if (strcmp(line, "refuse\n") == 0)
		manner = REFUSE;
	else if (strcmp(line, "mute\n") == 0)
		manner = MUTE;
	else if (strcmp(line, "accept\n") == 0)
		manner = ACCEPT;
	else
		check(-EINVAL, line);
	say(json_pack("{ss}", "did", line));
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	char line[256];

	(void)fd, (void)events;
	/* Lines come one by one: who writes them waits for the answer. */
	if (!fgets(line, sizeof(line), stdin))
		return sd_event_exit(sd_event_source_get_event(source), 0);
	obey(userdata, line);
	return 0;
}

int main(int argc, char **argv)
{
	sd_event *event = NULL;
	sd_bus *bus = NULL;
	int r;

	(void)argc;
	capabilities = argv + 1;
	setvbuf(stdin, NULL, _IONBF, 0);
	check(sd_event_new(&event), "event loop");
	check(sd_bus_open_user(&bus), "bus");
	check(sd_bus_attach_event(bus, event, 0), "bus");
	check(sd_bus_add_object_vtable(bus, NULL, NOTIFICATIONS_PATH, NOTIFICATIONS, vtable, NULL), "object");
	check(sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_input, bus), "input");
	check(sd_bus_request_name(bus, NOTIFICATIONS, 0), "name");
	say(json_pack("{ss}", "did", "start"));
	r = sd_event_loop(event);
	sd_bus_flush_close_unref(bus);
	sd_event_unref(event);
	return r < 0;
}
