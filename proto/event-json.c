// SPDX-License-Identifier: LGPL-2.1-or-later
#include "event-json.h"
#include "base/json-text.h"

/* What stands before a value: "key": */
#define KEY_SIZE 32

struct key {
	char text[KEY_SIZE - 1];
	uint8_t len;
};

#define KEY(_key) "\"" _key "\":"
static const struct key keys[_EVENT_FIELD_MAX] = {
#define REST(_high, _low)
#define F(_member, _kind, _group, _key, _privacy) [EVENT_F_##_member] = { KEY(_key), sizeof(KEY(_key)) - 1 },
#include "event-json-fields.h"
#undef F
#undef REST
};

static const struct key group_keys[] = {
	[EVENT_GROUP_STATUS] = { "\"status\":{", 10 },
	[EVENT_GROUP_USAGE] = { "\"usage\":{", 9 },
	[EVENT_GROUP_OLD] = { "\"old\":{", 7 },
	[EVENT_GROUP_NONE] = { "", 0 },
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
		at = key_write(at, &group_keys[next]);
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
#define F(_member, _kind, _group, _key, _privacy)                                 \
	if (has & EVENT_BIT(_member)) {                                           \
		at = group_turn(at, &group, EVENT_GROUP_##_group);                \
		at = WRITE_##_kind(at, &keys[EVENT_F_##_member], event->_member); \
		*at++ = ',';                                                      \
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
		at = WRITE_U64(at, &keys[EVENT_F_seq], event->seq);
		*at++ = ',';
	}
	at = type_write(at, event->type);
	*at++ = ',';
	at = fields_write(at, event, has & ~EVENT_BIT(seq));
	at[-1] = '}';
	return (size_t)(at - buf);
}
