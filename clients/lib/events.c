// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "event-copy.h"
#include "fields.h"
#include "json-read.h"

int forkbus_event_copy(const struct forkbus_event *event, struct forkbus_event **ret)
{
	struct forkbus_event *copy = calloc(1, sizeof(*copy));
	int r = copy ? event_copy_set(copy, &event->event) : -ENOMEM;

	if (r < 0) {
		free(copy);
		return r;
	}
	*ret = copy;
	return 0;
}

struct forkbus_event *forkbus_event_free(struct forkbus_event *event)
{
	if (event) {
		event_copy_done(event);
		free(event);
	}
	return NULL;
}

enum forkbus_type forkbus_event_get_type(const struct forkbus_event *event)
{
	return type_public(event->event.type);
}

bool forkbus_event_has(const struct forkbus_event *event, enum forkbus_field field)
{
	unsigned int internal = field_internal(field);

	return internal < _EVENT_FIELD_MAX && event->event.has >> internal & 1;
}

/* Where the value of a field of one kind is. Return: 0, -EINVAL, -ENODATA. */
static int value_find(const struct forkbus_event *event, enum forkbus_field field, enum forkbus_kind kind,
		      const struct event_field_info **info, const void **value)
{
	if (forkbus_field_kind(field) != kind)
		return -EINVAL;
	if (!forkbus_event_has(event, field))
		return -ENODATA;
	*info = &event_fields[field_internal(field)];
	*value = (const char *)&event->event + (*info)->offset;
	return 0;
}

int forkbus_event_get_uint(const struct forkbus_event *event, enum forkbus_field field, uint64_t *ret)
{
	const struct event_field_info *info;
	const void *value;
	int r = value_find(event, field, FORKBUS_KIND_UINT, &info, &value);

	if (r == 0)
		*ret = info->kind == EVENT_KIND_U32 ? *(const uint32_t *)value : *(const uint64_t *)value;
	return r;
}

int forkbus_event_get_bool(const struct forkbus_event *event, enum forkbus_field field, bool *ret)
{
	const struct event_field_info *info;
	const void *value;
	int r = value_find(event, field, FORKBUS_KIND_BOOL, &info, &value);

	if (r == 0)
		*ret = *(const bool *)value;
	return r;
}

int forkbus_event_get_text(const struct forkbus_event *event, enum forkbus_field field, const char **ret,
			   size_t *len)
{
	const struct event_field_info *info;
	const struct event_text *text;
	const void *value;
	int r = value_find(event, field, FORKBUS_KIND_TEXT, &info, &value);

	if (r < 0)
		return r;
	text = value;
	*ret = text->data;
	if (len)
		*len = text->len;
	return 0;
}

int forkbus_event_get_strings(const struct forkbus_event *event, enum forkbus_field field,
			      const char *const **ret, size_t *n)
{
	const struct event_field_info *info;
	const void *value;
	int r = value_find(event, field, FORKBUS_KIND_STRINGS, &info, &value);

	if (r < 0)
		return r;
	*ret = (const char *const *)event->strings;
	if (n)
		*n = event->n_strings;
	return 0;
}

enum forkbus_field forkbus_field_from_name(const char *name)
{
	const char *known;

	for (unsigned int field = 1; field < FORKBUS_FIELDS_END; field++) {
		known = forkbus_field_name(field);
		if (known && strcmp(known, name) == 0)
			return field;
	}
	return 0;
}

/* At least what event_json_encode() needs: EVENT_JSON_MAX is that of texts at their limits. */
static size_t json_bound(const struct forkbus_event *event)
{
	return 256 + _EVENT_FIELD_MAX * (EVENT_JSON_OF_TEXT(1)) + EVENT_JSON_OF_TEXT(event->size);
}

int forkbus_event_to_json(const struct forkbus_event *event, uint64_t flags, char **ret, size_t *len)
{
	char *room, *text;
	size_t size;

	if (flags)
		return -EINVAL;
	room = malloc(json_bound(event));
	if (!room)
		return -ENOMEM;
	size = event_json_encode(&event->event, FIELDS_ALL, room);
	room[size] = '\0';
	/* A block that cannot be made smaller is as good as it was. */
	text = realloc(room, size + 1);
	*ret = text ? text : room;
	if (len)
		*len = size;
	return 0;
}

int forkbus_event_from_json(const char *text, size_t len, struct forkbus_event **ret)
{
	struct forkbus_event *event = calloc(1, sizeof(*event));
	struct event_store *store = malloc(sizeof(*store));
	json_t *object = NULL;
	int r = event && store ? json_read(&object, text, len) : -ENOMEM;

	if (r == 0)
		r = event_copy_decode(event, store, object);
	json_decref(object);
	free(store);
	if (r == 0) {
		*ret = event;
		return 0;
	}
	forkbus_event_free(event);
	return r == EVENT_COPY_E_UNKNOWN ? -EOPNOTSUPP : r;
}
