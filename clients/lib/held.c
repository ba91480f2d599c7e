// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "held.h"

static const char *text_put(char **at, const struct event_text *text)
{
	char *begin = *at;

	if (text->len > 0)
		memcpy(begin, text->data, text->len);
	begin[text->len] = '\0';
	*at += text->len + 1;
	return begin;
}

/* One after each NUL, and one at the beginning: an empty list is not told. */
static size_t strings_count(struct event_text text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\0';
	return n;
}

static void strings_set(struct forkbus_event *held, size_t n)
{
	char *at = (char *)held->memory + (n + 1) * sizeof(char *);

	held->strings = n > 0 ? held->memory : NULL;
	held->n_strings = n;
	for (size_t i = 0; i < n; i++) {
		held->strings[i] = at;
		at += strlen(at) + 1;
	}
	if (n > 0)
		held->strings[n] = NULL;
}

static bool is_text(const struct event_field_info *info)
{
	return info->kind == EVENT_KIND_TEXT || info->kind == EVENT_KIND_PATH ||
	       info->kind == EVENT_KIND_ARGS;
}

int held_set(struct forkbus_event *held, const struct fb_event *event)
{
	size_t n = EVENT_HAS(event, args) ? strings_count(event->args) : 0;
	size_t size = (n + 1) * sizeof(char *);
	uint64_t has = event->has;
	char *memory, *at;

	EVENT_FIELD_FOREACH(field, has) {
		const struct event_field_info *info = &event_fields[field];

		if (is_text(info))
			size += ((const struct event_text *)((const char *)event + info->offset))->len + 1;
	}
	if (size > held->size) {
		memory = malloc(size);
		if (!memory)
			return -ENOMEM;
		free(held->memory);
		held->memory = memory;
		held->size = size;
	}
	held->event = *event;
	/* The arguments first: their pointers say where. */
	at = (char *)held->memory + (n + 1) * sizeof(char *);
	if (n > 0)
		held->event.args.data = text_put(&at, &event->args);
	has = event->has & ~EVENT_BIT(args);
	EVENT_FIELD_FOREACH(field, has) {
		const struct event_field_info *info = &event_fields[field];
		struct event_text *text = (struct event_text *)((char *)&held->event + info->offset);

		if (is_text(info))
			text->data = text_put(&at, text);
	}
	strings_set(held, n);
	return 0;
}

void held_done(struct forkbus_event *held)
{
	free(held->memory);
	*held = (struct forkbus_event){ 0 };
}

int held_decode(struct forkbus_event *held, struct event_store *store, json_t *object)
{
	const char *type = json_string_value(json_object_get(object, "type"));
	struct fb_event event;
	int r;

	if (type && strlen(type) == json_string_length(json_object_get(object, "type")) &&
	    event_type_from_name(type) == EVENT_NONE)
		return HELD_E_UNKNOWN;
	r = event_json_decode_object(&event, store, object);
	if (r < 0)
		return r;
	/* Silence is told by replies without events here. */
	return event.type == EVENT_HEARTBEAT ? HELD_E_UNKNOWN : held_set(held, &event);
}
