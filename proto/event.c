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

const struct event_field_info event_fields[EVENT_FIELDS_MAX] = {
#define F(_member, _kind, _group, _key, _privacy)                                       \
	[EVENT_F_##_member] = { offsetof(struct fb_event, _member), EVENT_KIND_##_kind, \
				EVENT_GROUP_##_group, _key },
#include "event-fields.h"
#undef F
};

void fb_event_copy_fields(struct fb_event *to, const struct fb_event *from, field_set fields)
{
	field_set copied = from->has & fields;

#define F(_member, _kind, _group, _key, _privacy) \
	if (copied & EVENT_BIT(_member))          \
		to->_member = from->_member;
#include "event-fields.h"
#undef F
	to->has |= copied;
}

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
	field_set has = a->has;

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

/*
 * Are this field and all behind it absent? Asked only at every eighth field, and false by the compiler's knowledge at the
 * others: few events have any of the last ones. Where @_high is 0, it is a constant.
 */
#define NO_MORE(_low, _high, _member)                  \
	((_high) == 0 && EVENT_F_##_member % 8 == 0 && \
	 (EVENT_F_##_member >= 64 || (_low) < UINT64_C(1) << EVENT_F_##_member % 64))

/* One test for each field of the list: measured, a loop over event_fields takes twice as long. */
static inline __attribute__((always_inline)) uint8_t *pack_fields(uint8_t *at, const struct fb_event *event,
								  uint64_t low, uint64_t high)
{
#define F(_member, _kind, _group, _key, _privacy)                                          \
	if (NO_MORE(low, high, _member))                                                   \
		return at;                                                                 \
	if ((EVENT_F_##_member < 64 ? low : high) & UINT64_C(1) << EVENT_F_##_member % 64) \
		at = PACK_##_kind(at, event->_member);
#include "event-fields.h"
#undef F
	return at;
}

size_t fb_event_pack(const struct fb_event *event, void *data)
{
	uint64_t low = (uint64_t)event->has, high = (uint64_t)(event->has >> 64);
	uint8_t *at = data;

	memcpy(at, &low, sizeof(low));
	at[sizeof(low)] = (uint8_t)event->type;
	at += EVENT_PACKED_FIXED;
	if (high == 0)
		return (size_t)(pack_fields(at, event, low, 0) - (uint8_t *)data);
	at[-1] |= EVENT_PACKED_WIDE;
	at = pack_integer(at, &high, sizeof(high));
	return (size_t)(pack_fields(at, event, low, high) - (uint8_t *)data);
}

/* One field's value from the @left bytes at @at. Return: how many it took, 0 where it does not fit or is none. */
static size_t unpack_field(enum event_kind kind, void *value, const uint8_t *at, size_t left)
{
	size_t max = kind == EVENT_KIND_TEXT ? EVENT_TEXT_MAX : EVENT_PATH_MAX;
	uint16_t len;

	switch (kind) {
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

/* Type and presence. Return: how many bytes they took, 0 where they do not fit or are none. */
static size_t unpack_head(struct fb_event *event, const uint8_t *at, size_t left)
{
	uint64_t low, high;
	uint8_t type;

	event->has = 0;
	if (left < EVENT_PACKED_FIXED)
		return 0;
	memcpy(&low, at, sizeof(low));
	event->has = low;
	type = at[sizeof(low)] & (uint8_t)~EVENT_PACKED_WIDE;
	if (type == EVENT_NONE || type >= _EVENT_TYPE_MAX)
		return 0;
	event->type = type;
	if (!(at[sizeof(low)] & EVENT_PACKED_WIDE))
		return EVENT_PACKED_FIXED;
	if (left < EVENT_PACKED_HEAD)
		return 0;
	memcpy(&high, at + EVENT_PACKED_FIXED, sizeof(high));
	/* A word that says nothing is not written. */
	event->has |= FIELDS_WORDS(high, 0);
	return high == 0 ? 0 : EVENT_PACKED_HEAD;
}

/* The fields of one word of presence bits, the first of which is @first. Return: what is left at *@at, or -EBADMSG. */
static inline int64_t unpack_fields(struct fb_event *event, unsigned int first, uint64_t word,
				    const uint8_t **at, size_t left)
{
	for (; word; word &= word - 1) {
		const struct event_field_info *info =
			&event_fields[first + (unsigned int)__builtin_ctzll(word)];
		size_t took = unpack_field(info->kind, (char *)event + info->offset, *at, left);

		if (took == 0)
			return -EBADMSG;
		*at += took;
		left -= took;
	}
	return (int64_t)left;
}

/* The fields that are known here. Return: as unpack_fields(). */
static inline int64_t unpack_known(struct fb_event *event, const uint8_t **at, size_t left)
{
	int64_t r = unpack_fields(event, 0, (uint64_t)event->has, at, left);

	return r < 0 ? r : unpack_fields(event, 64, (uint64_t)(event->has >> 64), at, (size_t)r);
}

int fb_event_unpack(struct fb_event *event, const void *data, size_t size)
{
	size_t head = unpack_head(event, data, size);
	const uint8_t *at = (const uint8_t *)data + head;

	if (head == 0 || event->has >> _EVENT_FIELD_MAX)
		return -EBADMSG;
	return unpack_known(event, &at, size - head) == 0 ? 0 : -EBADMSG;
}

int fb_event_unpack_newer(struct fb_event *event, const void *data, size_t size,
			  const uint8_t kinds[static EVENT_FIELDS_MAX])
{
	const field_set known = FIELD_BIT(_EVENT_FIELD_MAX) - 1;
	size_t took = unpack_head(event, data, size);
	const uint8_t *at = (const uint8_t *)data + took;
	field_set unknown = event->has & ~known;
	int64_t left;

	event->has &= known;
	left = took > 0 ? unpack_known(event, &at, size - took) : -EBADMSG;
	EVENT_FIELD_FOREACH(field, unknown) {
		union {
			uint64_t integer;
			struct event_text text;
		} value;

		if (left < 0 || kinds[field] == 0)
			return -EBADMSG;
		took = unpack_field(kinds[field] - 1u, &value, at, (size_t)left);
		if (took == 0)
			return -EBADMSG;
		at += took;
		left -= (int64_t)took;
	}
	return left == 0 ? 0 : -EBADMSG;
}

uint64_t event_field_word(unsigned int field)
{
	static const char *const members[_EVENT_FIELD_MAX] = {
#define F(_member, _kind, _group, _key, _privacy) [EVENT_F_##_member] = #_member,
#include "event-fields.h"
#undef F
	};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *at = members[field]; *at != '\0'; at++)
		hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
	return hash >> 16 << 8 | (event_fields[field].kind + 1u);
}
