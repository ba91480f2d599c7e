// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <jansson.h>

#include "base/text.h"
#include "event-json.h"

/* What is written before a value: "key": */
#define KEY_SIZE 32

struct key {
	char text[KEY_SIZE - 1];
	uint8_t len;
};

#define KEY(_text)                       \
	{                                \
		_text, sizeof(_text) - 1 \
	}

/* The key of the raw form of a text; NULL for other kinds. */
#define RAW_U32(_key)  NULL
#define RAW_U64(_key)  NULL
#define RAW_BOOL(_key) NULL
#define RAW_TEXT(_key) _key "Raw"
#define RAW_PATH(_key) _key "Raw"
#define RAW_ARGS(_key) _key "Raw"

/* The keys of a field, beside the one in event_fields: none where JSON does not have the field. */
static const struct {
	struct key key;
	const char *raw;
} keys[_EVENT_FIELD_MAX] = {
#define REST(_high, _low)
#define F(_member, _kind, _group, _key, _privacy) \
	[EVENT_F_##_member] = { KEY("\"" _key "\":"), RAW_##_kind(_key) },
#include "event-json-fields.h"
#undef F
#undef REST
};

/* The object that a group is: its key, and what is written before its first field. */
static const struct {
	const char *name;
	struct key key;
} groups[EVENT_GROUP_NONE] = {
	[EVENT_GROUP_STATUS] = { "status", KEY("\"status\":{") },
	[EVENT_GROUP_USAGE] = { "usage", KEY("\"usage\":{") },
	[EVENT_GROUP_OLD] = { "old", KEY("\"old\":{") },
};

/* The fields that JSON has. */
static const field_set fields_shown = FIELDS_NONE
#define REST(_high, _low)
#define F(_member, _kind, _group, _key, _privacy) | EVENT_BIT(_member)
#include "event-json-fields.h"
#undef F
#undef REST
	;

/*
 * Each value is followed by a comma, which the end of an object writes over. Keys and digits are copied in
 * blocks of fixed size, which reach beyond what counts of them; the next one writes over the rest. The 64
 * bytes that EVENT_JSON_MAX has for each field hold the longest of both.
 */
_Static_assert(KEY_SIZE + 1 + 20 + 1 <= EVENT_JSON_OF_U64, "a block of a key and the longest integer fit");

/* Where the key is a constant, so is the test. */
static inline char *key_write(char *at, const struct key *key)
{
	if (key->len <= KEY_SIZE / 2)
		memcpy(at, key, KEY_SIZE / 2);
	else
		memcpy(at, key, KEY_SIZE);
	return at + key->len;
}

#define PAIRS_OF(_ten) \
	_ten "0" _ten "1" _ten "2" _ten "3" _ten "4" _ten "5" _ten "6" _ten "7" _ten "8" _ten "9"
static const char pairs[] = PAIRS_OF("0") PAIRS_OF("1") PAIRS_OF("2") PAIRS_OF("3") PAIRS_OF("4")
	PAIRS_OF("5") PAIRS_OF("6") PAIRS_OF("7") PAIRS_OF("8") PAIRS_OF("9");

static inline void pair_write(char *at, size_t pair)
{
	memcpy(at, pairs + 2 * pair, 2);
}

/* All four digits, zeros too. */
static inline char *four_write(char *at, uint32_t value)
{
	pair_write(at, value / 100);
	pair_write(at + 2, value % 100);
	return at + 4;
}

static inline char *below_10k_write(char *at, uint32_t value)
{
	if (value >= 1000)
		return four_write(at, value);
	if (value >= 100) {
		*at++ = (char)('0' + value / 100);
		value %= 100;
	} else if (value < 10) {
		*at = (char)('0' + value);
		return at + 1;
	}
	pair_write(at, value);
	return at + 2;
}

static inline char *below_100m_write(char *at, uint32_t value)
{
	if (value < 10000)
		return below_10k_write(at, value);
	return four_write(below_10k_write(at, value / 10000), value % 10000);
}

static inline char *eight_write(char *at, uint32_t value)
{
	return four_write(four_write(at, value / 10000), value % 10000);
}

static char *integer_write(char *at, uint64_t value)
{
	const uint64_t m100 = 100000000;

	if (value < 10000)
		return below_10k_write(at, (uint32_t)value);
	if (value < m100)
		return below_100m_write(at, (uint32_t)value);
	if (value < m100 * m100)
		at = below_100m_write(at, (uint32_t)(value / m100));
	else
		at = eight_write(below_10k_write(at, (uint32_t)(value / (m100 * m100))),
				 (uint32_t)(value / m100 % m100));
	return eight_write(at, (uint32_t)(value % m100));
}

static char *bool_write(char *at, bool value)
{
	memcpy(at, value ? "true " : "false", 5);
	return at + (value ? 4 : 5);
}

/* The raw form of a text that was just written. */
static char *raw_write(char *at, const struct key *key, const char *data, size_t len)
{
	*at++ = ',';
	at = key_write(at, key) - strlen("\":");
	memcpy(at, "Raw\":\"", 6);
	at = base64_write(at + 6, data, len);
	*at++ = '"';
	return at;
}

/* Apart, since what is on the stack here is guarded, and few texts need it. */
static __attribute__((noinline)) char *text_write_closely(char *at, const struct key *key, const char *data,
							  size_t len)
{
	bool broken = false;

	at = json_text_write(at, data, len, &broken);
	*at++ = '"';
	return broken ? raw_write(at, key, data, len) : at;
}

/* A text of at most @max bytes, whose key was written; and its raw form, where it is needed. */
static char *text_write(char *at, const struct key *key, struct event_text text, size_t max)
{
	size_t len = text.len < max ? text.len : max;

	*at++ = '"';
	if (!json_text_copy(at, text.data, len))
		return text_write_closely(at, key, text.data, len);
	at[len] = '"';
	return at + len + 1;
}

/* A NUL takes less room than JSON_TEXT_FACTOR where it parts two strings, too. */
static char *args_write(char *at, const struct key *key, struct event_text text, size_t max)
{
	size_t len = text.len < max ? text.len : max, begin = 0;
	bool broken = false;
	const char *end;

	*at++ = '[';
	do {
		end = len > begin ? memchr(text.data + begin, '\0', len - begin) : NULL;
		*at++ = '"';
		at = json_text_write(at, text.data + begin, (end ? (size_t)(end - text.data) : len) - begin,
				     &broken);
		*at++ = '"';
		*at++ = ',';
		begin = end ? (size_t)(end - text.data) + 1 : len;
	} while (end);
	at[-1] = ']';
	return broken ? raw_write(at, key, text.data, len) : at;
}

static inline char *type_write(char *at, enum event_type type)
{
	const struct event_type_info *info = &event_types[type];

	memcpy(at, "\"type\":\"", 8);
	memcpy(at + 8, info, sizeof(*info));
	at += 8 + info->len;
	*at = '"';
	return at + 1;
}

/* From the object of one group to that of another. */
static inline char *group_turn(char *at, enum event_group *group, enum event_group next)
{
	if (*group == next)
		return at;
	if (*group != EVENT_GROUP_TOP) {
		at[-1] = '}';
		*at++ = ',';
	}
	if (next != EVENT_GROUP_TOP)
		at = key_write(at, &groups[next].key);
	*group = next;
	return at;
}

#define WRITE_U32(_at, _key, _value)  integer_write(key_write(_at, _key), _value)
#define WRITE_U64(_at, _key, _value)  integer_write(key_write(_at, _key), _value)
#define WRITE_BOOL(_at, _key, _value) bool_write(key_write(_at, _key), _value)
#define WRITE_TEXT(_at, _key, _value) text_write(key_write(_at, _key), _key, _value, EVENT_TEXT_MAX)
#define WRITE_PATH(_at, _key, _value) text_write(key_write(_at, _key), _key, _value, EVENT_PATH_MAX)
#define WRITE_ARGS(_at, _key, _value) args_write(key_write(_at, _key), _key, _value, EVENT_PATH_MAX)

/*
 * One test and one call for each field of the list, so that kind and group are constants of the place:
 * measured, a loop over event_fields takes a third longer. Few events have any of the last fields.
 */
static char *fields_write(char *at, const struct fb_event *event, field_set has)
{
	enum event_group group = EVENT_GROUP_TOP;

#define REST(_high, _low)                       \
	if (!(has & FIELDS_WORDS(_high, _low))) \
		return group_turn(at, &group, EVENT_GROUP_TOP);
#define F(_member, _kind, _group, _key, _privacy)                                     \
	if (has & EVENT_BIT(_member)) {                                               \
		at = group_turn(at, &group, EVENT_GROUP_##_group);                    \
		at = WRITE_##_kind(at, &keys[EVENT_F_##_member].key, event->_member); \
		*at++ = ',';                                                          \
	}
#include "event-json-fields.h"
#undef F
#undef REST
	return group_turn(at, &group, EVENT_GROUP_TOP);
}

size_t event_json_encode(const struct fb_event *event, field_set mask, char *buf)
{
	field_set has = event->has & mask & fields_shown;
	char *at = buf;

	*at++ = '{';
	if (has & EVENT_BIT(seq)) {
		at = WRITE_U64(at, &keys[EVENT_F_seq].key, event->seq);
		*at++ = ',';
	}
	at = type_write(at, event->type);
	*at++ = ',';
	at = fields_write(at, event, has & ~EVENT_BIT(seq));
	at[-1] = '}';
	return (size_t)(at - buf);
}

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
	json_t *raw = keys[field].raw ? json_object_get(object, keys[field].raw) : NULL;
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

/* The objects that hold the fields of each group, NULL where there is none. */
static int groups_decode(json_t *objects[static EVENT_GROUP_NONE], json_t *top)
{
	for (enum event_group group = EVENT_GROUP_STATUS; group < EVENT_GROUP_NONE; group++) {
		objects[group] = json_object_get(top, groups[group].name);
		if (objects[group] && !json_is_object(objects[group]))
			return -EBADMSG;
	}
	return 0;
}

int event_json_decode_object(struct fb_event *event, struct event_store *store, json_t *top)
{
	json_t *objects[EVENT_GROUP_NONE + 1] = { [EVENT_GROUP_TOP] = top };
	char *at = store->data;
	int r;

	event->has = 0;
	if (!json_is_object(top))
		return -EBADMSG;
	r = type_decode(&event->type, json_object_get(top, "type"));
	if (r == 0)
		r = groups_decode(objects, top);
	for (unsigned int field = 0; r == 0 && field < _EVENT_FIELD_MAX; field++)
		if (objects[event_fields[field].group])
			r = field_decode(event, field, objects[event_fields[field].group], &at);
	return r;
}

int event_json_decode(struct fb_event *event, struct event_store *store, const char *line, size_t len)
{
	json_auto_t *top = NULL;
	json_error_t error;

	top = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!top) {
		/* When memory runs out, the parser does not report it. */
		if (error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory)
			return -ENOMEM;
		return -EBADMSG;
	}
	return event_json_decode_object(event, store, top);
}

char *cursor_print(char buf[static CURSOR_TEXT_MAX], uint64_t epoch, uint64_t seq)
{
	char *at = buf;

	for (int shift = 60; shift >= 0; shift -= 4)
		*at++ = "0123456789abcdef"[epoch >> shift & 0xf];
	*at++ = ':';
	*integer_write(at, seq) = '\0';
	return buf;
}

int cursor_parse(const char *text, uint64_t *epoch, uint64_t *seq)
{
	uint64_t values[2] = { 0, 0 };
	const char *at;
	int digits;

	for (at = text, digits = 0; digits < 16; at++, digits++) {
		if (*at >= '0' && *at <= '9')
			values[0] = values[0] << 4 | (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			values[0] = values[0] << 4 | (uint64_t)(*at - 'a' + 10);
		else
			return -EINVAL;
	}
	if (*at++ != ':' || *at == '\0' || (at[0] == '0' && at[1] != '\0'))
		return -EINVAL;
	for (; *at != '\0'; at++) {
		if (*at < '0' || *at > '9' || __builtin_mul_overflow(values[1], 10, &values[1]) ||
		    __builtin_add_overflow(values[1], (uint64_t)(*at - '0'), &values[1]))
			return -EINVAL;
	}
	*epoch = values[0];
	*seq = values[1];
	return 0;
}
