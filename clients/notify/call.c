// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>
#include <unistd.h>

#include "call.h"

#define DESKTOP_ENTRY "forkbus-notify"

int capabilities_read(struct capabilities *capabilities, sd_bus_message *reply)
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

/* The server decides by the urgency how long it stays. */
int call_new(sd_bus_message **ret, sd_bus *bus, const char *server, const struct capabilities *capabilities,
	     const struct notice *notice, uint32_t replaces)
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
