// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <jansson.h>

#include "base/json-text.h"
#include "event-json.h"

/* Where the raw form of a text stands; NULL for other kinds. */
#define RAW_U32(_key)  NULL
#define RAW_U64(_key)  NULL
#define RAW_BOOL(_key) NULL
#define RAW_TEXT(_key) _key "Raw"
#define RAW_PATH(_key) _key "Raw"
#define RAW_ARGS(_key) _key "Raw"

static const char *const raw_keys[_EVENT_FIELD_MAX] = {
#define F(_member, _kind, _group, _key, _privacy) [EVENT_F_##_member] = RAW_##_kind(_key),
#include "event-fields.h"
#undef F
};

static int integer_decode(uint64_t *ret, json_t *value, uint64_t max)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max)
		return -EBADMSG;
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

static int raw_decode(struct event_text *ret, json_t *raw, size_t max, char *at)
{
	ssize_t len;

	if (!json_is_string(raw))
		return -EBADMSG;
	len = base64_read(at, max, json_string_value(raw), json_string_length(raw));
	if (len < 0)
		return -EBADMSG;
	*ret = (struct event_text){ at, (size_t)len };
	return 0;
}

/* One text, by preference from its raw form, to @at. */
static int text_decode(struct event_text *ret, json_t *value, json_t *raw, size_t max, char *at)
{
	if (value && !json_is_string(value))
		return -EBADMSG;
	if (raw)
		return raw_decode(ret, raw, max, at);
	*ret = (struct event_text){ at, json_string_length(value) };
	if (ret->len > max)
		return -EBADMSG;
	memcpy(at, json_string_value(value), ret->len);
	return 0;
}

/* A list of texts that hold no NUL. */
static int args_decode(struct event_text *ret, json_t *value, json_t *raw, size_t max, char *at)
{
	size_t i, len;
	json_t *text;

	if (value && (!json_is_array(value) || json_array_size(value) == 0))
		return -EBADMSG;
	if (raw)
		return raw_decode(ret, raw, max, at);
	*ret = (struct event_text){ at, 0 };
	json_array_foreach(value, i, text) {
		len = json_string_length(text);
		if (!json_is_string(text) || strlen(json_string_value(text)) != len ||
		    len + (i > 0) > max - ret->len)
			return -EBADMSG;
		if (i > 0)
			at[ret->len++] = '\0';
		memcpy(at + ret->len, json_string_value(text), len);
		ret->len += len;
	}
	return 0;
}

/* The field from @object, if it is there; texts go to *@at, which moves on. */
static int field_decode(struct fb_event *event, unsigned int field, json_t *object, char **at)
{
	const struct event_field_info *info = &event_fields[field];
	json_t *value = json_object_get(object, info->key);
	json_t *raw = raw_keys[field] ? json_object_get(object, raw_keys[field]) : NULL;
	void *member = (char *)event + info->offset;
	uint64_t integer;
	int r = 0;

	if (!value && !raw)
		return 0;
	switch ((enum event_kind)info->kind) {
	case EVENT_KIND_U32:
		r = integer_decode(&integer, value, UINT32_MAX);
		if (r == 0)
			*(uint32_t *)member = (uint32_t)integer;
		break;
	case EVENT_KIND_U64:
		r = integer_decode(member, value, UINT64_MAX);
		break;
	case EVENT_KIND_BOOL:
		if (!json_is_boolean(value))
			return -EBADMSG;
		*(bool *)member = json_is_true(value);
		break;
	case EVENT_KIND_TEXT:
	case EVENT_KIND_PATH:
		r = text_decode(member, value, raw,
				info->kind == EVENT_KIND_PATH ? EVENT_PATH_MAX : EVENT_TEXT_MAX, *at);
		if (r == 0)
			*at += ((struct event_text *)member)->len;
		break;
	case EVENT_KIND_ARGS:
		r = args_decode(member, value, raw, EVENT_PATH_MAX, *at);
		if (r == 0)
			*at += ((struct event_text *)member)->len;
		break;
	}
	if (r == 0)
		event->has |= FIELD_BIT(field);
	return r;
}

static int type_decode(enum event_type *ret, json_t *value)
{
	const char *name = json_string_value(value);

	if (!name || strlen(name) != json_string_length(value))
		return -EBADMSG;
	*ret = event_type_from_name(name);
	return *ret == EVENT_NONE ? -EBADMSG : 0;
}

/* The object that holds the fields of a group, NULL where there is none. */
static int group_decode(json_t **ret, json_t *top, const char *key)
{
	*ret = json_object_get(top, key);
	return *ret && !json_is_object(*ret) ? -EBADMSG : 0;
}

int event_json_decode_object(struct fb_event *event, struct event_store *store, json_t *top)
{
	json_t *groups[EVENT_GROUP_NONE + 1] = { [EVENT_GROUP_TOP] = top };
	char *at = store->data;
	int r;

	event->has = 0;
	if (!json_is_object(top))
		return -EBADMSG;
	r = type_decode(&event->type, json_object_get(top, "type"));
	if (r == 0)
		r = group_decode(&groups[EVENT_GROUP_STATUS], top, "status");
	if (r == 0)
		r = group_decode(&groups[EVENT_GROUP_USAGE], top, "usage");
	if (r == 0)
		r = group_decode(&groups[EVENT_GROUP_OLD], top, "old");
	for (unsigned int field = 0; r == 0 && field < _EVENT_FIELD_MAX; field++)
		if (groups[event_fields[field].group])
			r = field_decode(event, field, groups[event_fields[field].group], &at);
	return r;
}

int event_json_decode(struct fb_event *event, struct event_store *store, const char *line, size_t len)
{
	json_auto_t *top = NULL;
	json_error_t error;

	top = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!top) {
		/* Without memory, the parser fails in silence. */
		if (error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory)
			return -ENOMEM;
		return -EBADMSG;
	}
	return event_json_decode_object(event, store, top);
}
