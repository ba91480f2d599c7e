// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "event-copy.h"

static const char *text_put(char **at, const struct event_text *text)
{
	char *begin = *at;

	if (text->len > 0)
		memcpy(begin, text->data, text->len);
	begin[text->len] = '\0';
	*at += text->len + 1;
	return begin;
}

/* One after each NUL, and one at the beginning: an empty list is absent. */
static size_t strings_count(struct event_text text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\0';
	return n;
}

static void strings_set(struct forkbus_event *copy, size_t n)
{
	char *at = (char *)copy->memory + (n + 1) * sizeof(char *);

	copy->strings = n > 0 ? copy->memory : NULL;
	copy->n_strings = n;
	for (size_t i = 0; i < n; i++) {
		copy->strings[i] = at;
		at += strlen(at) + 1;
	}
	if (n > 0)
		copy->strings[n] = NULL;
}

static bool is_text(const struct event_field_info *info)
{
	return info->kind == EVENT_KIND_TEXT || info->kind == EVENT_KIND_PATH ||
	       info->kind == EVENT_KIND_ARGS;
}

int event_copy_set(struct forkbus_event *copy, const struct fb_event *event)
{
	size_t n = EVENT_HAS(event, args) ? strings_count(event->args) : 0;
	size_t size = (n + 1) * sizeof(char *);
	field_set has = event->has;
	char *memory, *at;

	EVENT_FIELD_FOREACH(field, has) {
		const struct event_field_info *info = &event_fields[field];

		if (is_text(info))
			size += ((const struct event_text *)((const char *)event + info->offset))->len + 1;
	}
	if (size > copy->size) {
		memory = malloc(size);
		if (!memory)
			return -ENOMEM;
		free(copy->memory);
		copy->memory = memory;
		copy->size = size;
	}
	copy->event = *event;
	/* The arguments first: their pointers say where. */
	at = (char *)copy->memory + (n + 1) * sizeof(char *);
	if (n > 0)
		copy->event.args.data = text_put(&at, &event->args);
	has = event->has & ~EVENT_BIT(args);
	EVENT_FIELD_FOREACH(field, has) {
		const struct event_field_info *info = &event_fields[field];
		struct event_text *text = (struct event_text *)((char *)&copy->event + info->offset);

		if (is_text(info))
			text->data = text_put(&at, text);
	}
	strings_set(copy, n);
	return 0;
}

void event_copy_done(struct forkbus_event *copy)
{
	free(copy->memory);
	*copy = (struct forkbus_event){ 0 };
}

int event_copy_decode(struct forkbus_event *copy, struct event_store *store, json_t *object)
{
	const char *type = json_string_value(json_object_get(object, "type"));
	struct fb_event event;
	int r;

	if (type && strlen(type) == json_string_length(json_object_get(object, "type")) &&
	    event_type_from_name(type) == EVENT_NONE)
		return EVENT_COPY_E_UNKNOWN;
	r = event_json_decode_object(&event, store, object);
	if (r < 0)
		return r;
	/* This face sends replies without events in place of heartbeats. */
	return event.type == EVENT_HEARTBEAT ? EVENT_COPY_E_UNKNOWN : event_copy_set(copy, &event);
}
