// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <sys/wait.h>

#include "event.h"

#define NAME(_name)                      \
	{                                \
		_name, sizeof(_name) - 1 \
	}
const struct event_type_info event_types[_EVENT_TYPE_MAX] = {
	[EVENT_FORK] = NAME("fork"),	 [EVENT_EXEC] = NAME("exec"),
	[EVENT_EXIT] = NAME("exit"),	 [EVENT_ID] = NAME("id"),
	[EVENT_COMM] = NAME("comm"),	 [EVENT_SESSION] = NAME("session"),
	[EVENT_CHROOT] = NAME("chroot"), [EVENT_COREDUMP] = NAME("coredump"),
	[EVENT_PTRACE] = NAME("ptrace"), [EVENT_SOURCE] = NAME("source"),
	[EVENT_LOST] = NAME("lost"),	 [EVENT_PROCESS] = NAME("process"),
	[EVENT_READY] = NAME("ready"),	 [EVENT_HEARTBEAT] = NAME("heartbeat"),
};
#undef NAME

const struct event_field_info event_fields[_EVENT_FIELD_MAX] = {
#define F(_member, _kind, _group, _key, _privacy)                                       \
	[EVENT_F_##_member] = { offsetof(struct fb_event, _member), EVENT_KIND_##_kind, \
				EVENT_GROUP_##_group, _key },
#include "event-fields.h"
#undef F
};

const char *event_type_name(enum event_type type)
{
	return type > EVENT_NONE && type < _EVENT_TYPE_MAX ? event_types[type].name : NULL;
}

enum event_type event_type_from_name(const char *name)
{
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		if (strcmp(event_types[type].name, name) == 0)
			return type;
	return EVENT_NONE;
}

bool fb_event_equal(const struct fb_event *a, const struct fb_event *b)
{
	uint64_t has = a->has;

	if (a->type != b->type || a->has != b->has)
		return false;
	EVENT_FIELD_FOREACH(field, has) {
		const struct event_field_info *info = &event_fields[field];
		const void *x = (const char *)a + info->offset;
		const void *y = (const char *)b + info->offset;
		bool equal = false;

		switch ((enum event_kind)info->kind) {
		case EVENT_KIND_U32:
			equal = *(const uint32_t *)x == *(const uint32_t *)y;
			break;
		case EVENT_KIND_U64:
			equal = *(const uint64_t *)x == *(const uint64_t *)y;
			break;
		case EVENT_KIND_BOOL:
			equal = *(const bool *)x == *(const bool *)y;
			break;
		case EVENT_KIND_TEXT:
		case EVENT_KIND_PATH:
		case EVENT_KIND_ARGS:
			equal = event_text_equal(*(const struct event_text *)x,
						 *(const struct event_text *)y);
			break;
		}
		if (!equal)
			return false;
	}
	return true;
}

void fb_event_set_status(struct fb_event *event, uint32_t wait_status)
{
	int status = (int)wait_status;

	if (WIFSIGNALED(status)) {
		EVENT_SET(event, signal, (uint32_t)WTERMSIG(status));
		EVENT_SET(event, core_dumped, WCOREDUMP(status) != 0);
	} else {
		EVENT_SET(event, code, (uint32_t)WEXITSTATUS(status));
	}
}

static inline uint8_t *pack_integer(uint8_t *at, const void *value, size_t size)
{
	memcpy(at, value, size);
	return at + size;
}

static uint8_t *pack_text(uint8_t *at, struct event_text text, size_t max)
{
	uint16_t len = (uint16_t)(text.len < max ? text.len : max);

	memcpy(at, &len, sizeof(len));
	if (len > 0)
		memcpy(at + sizeof(len), text.data, len);
	return at + sizeof(len) + len;
}

#define PACK_U32(_at, _value)  pack_integer(_at, &(_value), sizeof(uint32_t))
#define PACK_U64(_at, _value)  pack_integer(_at, &(_value), sizeof(uint64_t))
#define PACK_BOOL(_at, _value) pack_integer(_at, &(_value), sizeof(bool))
#define PACK_TEXT(_at, _value) pack_text(_at, _value, EVENT_TEXT_MAX)
#define PACK_PATH(_at, _value) pack_text(_at, _value, EVENT_PATH_MAX)
#define PACK_ARGS(_at, _value) pack_text(_at, _value, EVENT_PATH_MAX)

/* One test for each field of the list: measured, a loop over event_fields takes twice as long. */
size_t fb_event_pack(const struct fb_event *event, void *data)
{
	uint64_t has = event->has;
	uint8_t *at = data;

	memcpy(at, &has, sizeof(has));
	at[sizeof(has)] = (uint8_t)event->type;
	at += EVENT_PACKED_FIXED;
#define F(_member, _kind, _group, _key, _privacy)      \
	if (EVENT_NO_MORE(has, _member))               \
		return (size_t)(at - (uint8_t *)data); \
	if (has & EVENT_BIT(_member))                  \
		at = PACK_##_kind(at, event->_member);
#include "event-fields.h"
#undef F
	return (size_t)(at - (uint8_t *)data);
}

/* One field's value from the @left bytes at @at. Return: how many it took, 0 where it does not fit or is none. */
static size_t unpack_field(const struct event_field_info *info, void *value, const uint8_t *at, size_t left)
{
	size_t max = info->kind == EVENT_KIND_TEXT ? EVENT_TEXT_MAX : EVENT_PATH_MAX;
	uint16_t len;

	switch ((enum event_kind)info->kind) {
	case EVENT_KIND_U32:
		if (left < sizeof(uint32_t))
			return 0;
		memcpy(value, at, sizeof(uint32_t));
		return sizeof(uint32_t);
	case EVENT_KIND_U64:
		if (left < sizeof(uint64_t))
			return 0;
		memcpy(value, at, sizeof(uint64_t));
		return sizeof(uint64_t);
	case EVENT_KIND_BOOL:
		if (left < 1 || *at > 1)
			return 0;
		*(bool *)value = *at;
		return 1;
	case EVENT_KIND_TEXT:
	case EVENT_KIND_PATH:
	case EVENT_KIND_ARGS:
		if (left < sizeof(len))
			return 0;
		memcpy(&len, at, sizeof(len));
		if (len > max || len > left - sizeof(len))
			return 0;
		*(struct event_text *)value = (struct event_text){ (const char *)at + sizeof(len), len };
		return sizeof(len) + len;
	}
	return 0;
}

int fb_event_unpack(struct fb_event *event, const void *data, size_t size)
{
	const uint8_t *at = data;
	uint64_t has;

	if (size < EVENT_PACKED_FIXED)
		return -EBADMSG;
	memcpy(&has, at, sizeof(has));
	if (_EVENT_FIELD_MAX < 64 && has >> _EVENT_FIELD_MAX)
		return -EBADMSG;
	if (at[sizeof(has)] == EVENT_NONE || at[sizeof(has)] >= _EVENT_TYPE_MAX)
		return -EBADMSG;
	event->has = has;
	event->type = at[sizeof(has)];
	at += EVENT_PACKED_FIXED;
	size -= EVENT_PACKED_FIXED;
	EVENT_FIELD_FOREACH(field, has) {
		const struct event_field_info *info = &event_fields[field];
		size_t took = unpack_field(info, (char *)event + info->offset, at, size);

		if (took == 0)
			return -EBADMSG;
		at += took;
		size -= took;
	}
	return size == 0 ? 0 : -EBADMSG;
}

static uint64_t hash_string(uint64_t hash, const char *string)
{
	do
		hash = (hash ^ (uint8_t)*string) * UINT64_C(0x100000001b3);
	while (*string++ != '\0');
	return hash;
}

uint64_t fb_event_schema_hash(void)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

#define F(_member, _kind, _group, _key, _privacy) hash = hash_string(hash, #_member " " #_kind);
#include "event-fields.h"
#undef F
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		hash = hash_string(hash, event_types[type].name);
	return hash;
}
