// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include "base/text.h"
#include "serve/dbus/context.h"
#include "serve/dbus/event-message.h"

/* A buffer for strings; the broker has one thread. An invalid byte takes three. */
static char scratch[3 * EVENT_PATH_MAX + 1];

/* Like utf8_sequence(), except for characters that D-Bus or sd-bus refuses: NUL and the noncharacters of Unicode. */
static size_t string_sequence(const char *data, size_t len)
{
	const unsigned char *at = (const unsigned char *)data;
	size_t n = utf8_sequence(data, len);

	if (n == 1 && at[0] == '\0')
		return 0;
	if (n == 3 && at[0] == 0xef &&
	    ((at[1] == 0xb7 && at[2] >= 0x90 && at[2] <= 0xaf) || (at[1] == 0xbf && at[2] >= 0xbe)))
		return 0;
	if (n == 4 && (at[1] & 0x0f) == 0x0f && at[2] == 0xbf && at[3] >= 0xbe)
		return 0;
	return n;
}

/* Copies to @scratch, with a NUL. Return: whether the copy is unchanged. */
static bool make_string(struct event_text text)
{
	static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
	bool whole = true;
	char *to = scratch;

	for (size_t at = 0, n; at < text.len; at += n) {
		n = string_sequence(text.data + at, text.len - at);
		if (n > 0) {
			memcpy(to, text.data + at, n);
			to += n;
			continue;
		}
		n = 1;
		memcpy(to, replacement, strlen(replacement));
		to += strlen(replacement);
		whole = false;
	}
	*to = '\0';
	return whole;
}

int dbus_append_text(sd_bus_message *message, struct event_text text)
{
	(void)make_string(text);
	return sd_bus_message_append(message, "s", scratch);
}

/* The bytes themselves, if the string does not have all of them. */
static int append_raw(sd_bus_message *message, const char *key, struct event_text text)
{
	char raw[64];
	int r;

	snprintf(raw, sizeof(raw), "%sRaw", key);
	r = sd_bus_message_open_container(message, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", raw);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "ay");
	if (r >= 0)
		r = sd_bus_message_append_array(message, 'y', text.data, text.len);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_string(sd_bus_message *message, const char *key, struct event_text text)
{
	bool whole = make_string(text);
	int r = sd_bus_message_append(message, "{sv}", key, "s", scratch);

	return r < 0 || whole ? r : append_raw(message, key, text);
}

/* Texts with a NUL between one and the next. */
static int append_strings(sd_bus_message *message, struct event_text list, bool *whole)
{
	const char *at = list.data, *end = list.data + list.len, *next;
	int r = sd_bus_message_open_container(message, 'a', "s");

	for (; r >= 0; at = next + 1) {
		next = memchr(at, '\0', (size_t)(end - at));
		if (!next)
			next = end;
		*whole &= make_string((struct event_text){ at, (size_t)(next - at) });
		r = sd_bus_message_append(message, "s", scratch);
		if (next == end)
			break;
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_list(sd_bus_message *message, const char *key, struct event_text list)
{
	bool whole = true;
	int r;

	r = sd_bus_message_open_container(message, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", key);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "as");
	if (r >= 0)
		r = append_strings(message, list, &whole);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r < 0 || whole ? r : append_raw(message, key, list);
}

static int append_field(sd_bus_message *message, const struct fb_event *event,
			const struct event_field_info *field)
{
	const void *value = (const char *)event + field->offset;

	switch ((enum event_kind)field->kind) {
	case EVENT_KIND_U32:
		return sd_bus_message_append(message, "{sv}", field->key, "u", *(const uint32_t *)value);
	case EVENT_KIND_U64:
		return sd_bus_message_append(message, "{sv}", field->key, "t", *(const uint64_t *)value);
	case EVENT_KIND_BOOL:
		return sd_bus_message_append(message, "{sv}", field->key, "b", *(const bool *)value);
	case EVENT_KIND_TEXT:
	case EVENT_KIND_PATH:
		return append_string(message, field->key, *(const struct event_text *)value);
	case EVENT_KIND_ARGS:
		return append_list(message, field->key, *(const struct event_text *)value);
	}
	return -EINVAL;
}

/* The fields of one group. */
static int append_group(sd_bus_message *message, const struct fb_event *event, enum event_group group,
			field_set fields)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	EVENT_FIELD_FOREACH(number, fields) {
		if (event_fields[number].group != group)
			continue;
		r = r < 0 ? r : append_field(message, event, &event_fields[number]);
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_member(sd_bus_message *message, const struct fb_event *event, const char *key,
			 enum event_group group, field_set fields)
{
	int r;

	r = sd_bus_message_open_container(message, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", key);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "a{sv}");
	if (r >= 0)
		r = append_group(message, event, group, fields);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

int dbus_append_event(sd_bus_message *message, const struct fb_event *event, field_set without)
{
	static const char *const keys[] = {
		[EVENT_GROUP_STATUS] = "status",
		[EVENT_GROUP_USAGE] = "usage",
		[EVENT_GROUP_OLD] = "old",
	};
	field_set fields = event->has & ~without, left = fields;
	int r = sd_bus_message_open_container(message, 'a', "{sv}");
	uint32_t entered = 0; /* groups, by bit: a later field of one has a higher number */

	EVENT_FIELD_FOREACH(number, left) {
		enum event_group group = (enum event_group)event_fields[number].group;

		if (r < 0)
			return r;
		if (group == EVENT_GROUP_TOP)
			r = append_field(message, event, &event_fields[number]);
		else if (group != EVENT_GROUP_NONE && !(entered & 1u << group))
			r = append_member(message, event, keys[group], group, fields);
		entered |= 1u << group;
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* Each begins at a multiple of 8: at most this many bytes in addition to key and value. */
#define MEMBER_SIZE 32

static size_t text_size(struct event_text text)
{
	/* Every byte may be replaced by three, and then the raw bytes follow; an argument has a length. */
	return make_string(text) ? text.len : MEMBER_SIZE + 4 * text.len;
}

size_t dbus_event_size(const struct fb_event *event, field_set without)
{
	field_set left = event->has & ~without;
	size_t size = 4 * MEMBER_SIZE; /* the dictionary, and nested ones */

	EVENT_FIELD_FOREACH(number, left) {
		const struct event_field_info *field = &event_fields[number];
		const void *value = (const char *)event + field->offset;

		if (!field->key)
			continue;
		size += MEMBER_SIZE + strlen(field->key);
		if (field->kind == EVENT_KIND_TEXT || field->kind == EVENT_KIND_PATH)
			size += text_size(*(const struct event_text *)value);
		else if (field->kind == EVENT_KIND_ARGS)
			size += MEMBER_SIZE + 12 * ((const struct event_text *)value)->len;
	}
	return size;
}

/* Signals */

#define IDENTITY (EVENT_BIT(pid) | EVENT_BIT(start_usec))
#define PLACE	 EVENT_BIT(seq)

static int append_process(sd_bus_message *message, const struct fb_event *event)
{
	return sd_bus_message_append(message, "ut", EVENT_HAS(event, pid) ? event->pid : 0,
				     EVENT_HAS(event, start_usec) ? event->start_usec : 0);
}

static int fill_process(sd_bus_message *message, const struct fb_event *event)
{
	int r = sd_bus_message_append(message, "t", event->seq);

	if (r >= 0)
		r = append_process(message, event);
	return r < 0 ? r : dbus_append_event(message, event, IDENTITY | PLACE);
}

static int fill_changed(sd_bus_message *message, const struct fb_event *event)
{
	int r = sd_bus_message_append(message, "t", event->seq);

	if (r >= 0)
		r = append_process(message, event);
	if (r >= 0)
		r = sd_bus_message_append(message, "s", event_type_name(event->type));
	return r < 0 ? r : dbus_append_event(message, event, IDENTITY | PLACE);
}

static int fill_listed(sd_bus_message *message, const struct fb_event *event)
{
	int r = append_process(message, event);

	return r < 0 ? r : dbus_append_event(message, event, IDENTITY);
}

static int fill_source(sd_bus_message *message, const struct fb_event *event)
{
	int r = sd_bus_message_append(message, "t", event->seq);

	if (r >= 0)
		r = dbus_append_text(message, event->source);
	if (r >= 0)
		r = dbus_append_text(message, event->reason);
	return r < 0 ? r : dbus_append_event(message, event, PLACE | EVENT_BIT(source) | EVENT_BIT(reason));
}

static int fill_lost(sd_bus_message *message, const struct fb_event *event)
{
	int r = dbus_append_text(message, event->reason);

	if (r >= 0)
		r = sd_bus_message_append(message, "t", EVENT_HAS(event, count) ? event->count : 0);
	return r < 0 ? r : dbus_append_event(message, event, EVENT_BIT(reason));
}

static int fill_ready(sd_bus_message *message, const struct fb_event *event)
{
	return dbus_append_text(message, event->cursor);
}

static const struct signal {
	const char *name;
	int (*fill)(sd_bus_message *message, const struct fb_event *event);
} signals[_EVENT_TYPE_MAX] = {
	[EVENT_FORK] = { "ProcessForked", fill_process },
	[EVENT_EXEC] = { "ProcessExecuted", fill_process },
	[EVENT_EXIT] = { "ProcessExited", fill_process },
	[EVENT_ID] = { "ProcessChanged", fill_changed },
	[EVENT_COMM] = { "ProcessChanged", fill_changed },
	[EVENT_SESSION] = { "ProcessChanged", fill_changed },
	[EVENT_CHROOT] = { "ProcessChanged", fill_changed },
	[EVENT_COREDUMP] = { "ProcessChanged", fill_changed },
	[EVENT_PTRACE] = { "ProcessChanged", fill_changed },
	[EVENT_PROCESS] = { "ProcessListed", fill_listed },
	[EVENT_SOURCE] = { "SourceChanged", fill_source },
	[EVENT_LOST] = { "Lost", fill_lost },
	[EVENT_READY] = { "Ready", fill_ready },
};

int dbus_send_event(sd_bus *connection, const char *receiver, const char *path, const struct fb_event *event)
{
	const struct signal *signal = &signals[event->type];
	sd_bus_message *message = NULL;
	int r;

	if (!signal->name)
		return 0;
	r = sd_bus_message_new_signal(connection, &message, path, DBUS_NAME ".Subscription", signal->name);
	if (r >= 0)
		r = sd_bus_message_set_destination(message, receiver);
	if (r >= 0)
		r = signal->fill(message, event);
	if (r >= 0)
		r = sd_bus_send(connection, message, NULL);
	sd_bus_message_unref(message);
	return r < 0 ? r : 0;
}
