// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "events.h"
#include "wire.h"

/* --- numbers and names -------------------------------------------------------------------------------------------- */

/* A dot stands for a nested object in JSON. */
static const char *const names[_EVENT_FIELD_MAX] = {
#define NAME_TOP(_key)				  _key
#define NAME_STATUS(_key)			  "status." _key
#define NAME_USAGE(_key)			  "usage." _key
#define NAME_OLD(_key)				  "old." _key
#define NAME_NONE(_key)				  NULL
#define F(_member, _kind, _group, _key, _privacy) [EVENT_F_##_member] = NAME_##_group(_key),
#include "event-fields.h"
#undef F
};

static const uint8_t types[] = {
	[FORKBUS_TYPE_FORK] = EVENT_FORK,     [FORKBUS_TYPE_EXEC] = EVENT_EXEC,
	[FORKBUS_TYPE_EXIT] = EVENT_EXIT,     [FORKBUS_TYPE_ID] = EVENT_ID,
	[FORKBUS_TYPE_COMM] = EVENT_COMM,     [FORKBUS_TYPE_SESSION] = EVENT_SESSION,
	[FORKBUS_TYPE_CHROOT] = EVENT_CHROOT, [FORKBUS_TYPE_COREDUMP] = EVENT_COREDUMP,
	[FORKBUS_TYPE_PTRACE] = EVENT_PTRACE, [FORKBUS_TYPE_SOURCE] = EVENT_SOURCE,
	[FORKBUS_TYPE_LOST] = EVENT_LOST,     [FORKBUS_TYPE_PROCESS] = EVENT_PROCESS,
	[FORKBUS_TYPE_READY] = EVENT_READY,
};

unsigned int field_internal(enum forkbus_field field)
{
	unsigned int internal = (unsigned int)field - 1;

	return internal < _EVENT_FIELD_MAX && names[internal] ? internal : _EVENT_FIELD_MAX;
}

/* Return: EVENT_NONE for an unknown number. */
static enum event_type type_internal(enum forkbus_type type)
{
	return (unsigned int)type < ARRAY_SIZE(types) ? types[type] : EVENT_NONE;
}

enum forkbus_type type_public(enum event_type type)
{
	for (unsigned int i = 1; i < ARRAY_SIZE(types); i++)
		if (types[i] == type)
			return i;
	return 0;
}

const char *forkbus_type_name(enum forkbus_type type)
{
	return event_type_name(type_internal(type));
}

enum forkbus_type forkbus_type_from_name(const char *name)
{
	return type_public(event_type_from_name(name));
}

const char *forkbus_field_name(enum forkbus_field field)
{
	unsigned int internal = field_internal(field);

	return internal < _EVENT_FIELD_MAX ? names[internal] : NULL;
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

enum forkbus_kind forkbus_field_kind(enum forkbus_field field)
{
	unsigned int internal = field_internal(field);

	if (internal == _EVENT_FIELD_MAX)
		return 0;
	switch ((enum event_kind)event_fields[internal].kind) {
	case EVENT_KIND_U32:
	case EVENT_KIND_U64:
		return FORKBUS_KIND_UINT;
	case EVENT_KIND_BOOL:
		return FORKBUS_KIND_BOOL;
	case EVENT_KIND_TEXT:
	case EVENT_KIND_PATH:
		return FORKBUS_KIND_TEXT;
	case EVENT_KIND_ARGS:
		return FORKBUS_KIND_STRINGS;
	}
	return 0;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static const char *text_put(char **at, const struct event_text *text)
{
	char *begin = *at;

	if (text->len > 0)
		memcpy(begin, text->data, text->len);
	begin[text->len] = '\0';
	*at += text->len + 1;
	return begin;
}

/* One string begins at the start and one after each NUL; an empty list is absent. */
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
	/* The pointers of the arguments come first. */
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

/* --- values ------------------------------------------------------------------------------------------------------- */

enum forkbus_type forkbus_event_get_type(const struct forkbus_event *event)
{
	return type_public(event->event.type);
}

bool forkbus_event_has(const struct forkbus_event *event, enum forkbus_field field)
{
	unsigned int internal = field_internal(field);

	return internal < _EVENT_FIELD_MAX && event->event.has >> internal & 1;
}

/* Find the value of a field, which must be of this kind. Return: 0, -EINVAL, -ENODATA. */
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

/* --- JSON --------------------------------------------------------------------------------------------------------- */

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
	/* The Varlink interface has no heartbeats: it sends replies without events instead. */
	return event.type == EVENT_HEARTBEAT ? EVENT_COPY_E_UNKNOWN : event_copy_set(copy, &event);
}

/* At least what event_json_encode() needs for this event; EVENT_JSON_MAX, for texts at their limits, is larger. */
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
	/* If the block cannot be made smaller, it is returned as it is. */
	text = realloc(room, size + 1);
	*ret = text ? text : room;
	if (len)
		*len = size;
	return 0;
}

int event_from_object(struct forkbus_event **ret, json_t *object)
{
	struct forkbus_event *event = calloc(1, sizeof(*event));
	struct event_store *store = malloc(sizeof(*store));
	int r = event && store ? event_copy_decode(event, store, object) : -ENOMEM;

	free(store);
	if (r == 0)
		*ret = event;
	else
		forkbus_event_free(event);
	return r;
}

int forkbus_event_from_json(const char *text, size_t len, struct forkbus_event **ret)
{
	json_t *object;
	int r = json_read(&object, text, len);

	if (r < 0)
		return r;
	r = event_from_object(ret, object);
	json_decref(object);
	return r == EVENT_COPY_E_UNKNOWN ? -EOPNOTSUPP : r;
}
