// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/text.h"
#include "event-json.h"
#include "tests/unit/allocations.h"
#include "tests/unit/random-event.h"

/* --- memory that ends at a guard page ------------------------------------------------------------------------------- */

struct guarded {
	char *map, *data; /* data ends where the guard begins */
	size_t size;
};

static void guarded_new(struct guarded *guarded, size_t size)
{
	size_t pages = (size + 4095) / 4096 * 4096;

	guarded->size = pages + 4096;
	guarded->map = mmap(NULL, guarded->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(guarded->map, MAP_FAILED);
	assert_int_equal(mprotect(guarded->map + pages, 4096, PROT_NONE), 0);
	guarded->data = guarded->map + pages - size;
}

static void guarded_free(struct guarded *guarded)
{
	assert_int_equal(munmap(guarded->map, guarded->size), 0);
}

/* The length of the UTF-8 character at @data by jansson's rules; 0 if it is invalid. */
static size_t oracle_character(const char *data, size_t len)
{
	if (!((unsigned char)data[0] & 0x80))
		return 1;
	for (size_t n = 2; n <= 4 && n <= len; n++) {
		json_t *string = json_stringn(data, n);

		json_decref(string);
		if (string)
			return n;
	}
	return 0;
}

/* A simple Base64 encoder that works bit by bit. */
static void oracle_base64(char *at, const char *data, size_t len)
{
	const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;

	for (size_t bit = 0; bit < len * 8; bit += 6, n++) {
		unsigned int digit = 0;

		for (size_t i = bit; i < bit + 6; i++)
			digit = digit << 1 |
				(i < len * 8 ? (unsigned char)data[i / 8] >> (7 - i % 8) & 1 : 0);
		at[n] = digits[digit];
	}
	while (n % 4)
		at[n++] = '=';
	at[n] = '\0';
}

static json_t *oracle_string(const char *data, size_t len, bool *broken)
{
	static char clean[3 * EVENT_PATH_MAX];
	size_t n = 0;

	for (size_t i = 0, character; i < len; i += character) {
		character = oracle_character(data + i, len - i);
		memcpy(clean + n, character ? data + i : "\xef\xbf\xbd", character ? character : 3);
		n += character ? character : 3;
		*broken |= character == 0;
		character += character == 0;
	}
	return json_stringn(clean, n);
}

static void oracle_raw(json_t *object, const char *key, const char *data, size_t len)
{
	static char raw[2 * EVENT_PATH_MAX], raw_key[64];

	oracle_base64(raw, data, len);
	snprintf(raw_key, sizeof(raw_key), "%sRaw", key);
	assert_int_equal(json_object_set_new(object, raw_key, json_string(raw)), 0);
}

static void oracle_text(json_t *object, const char *key, struct event_text text, size_t max)
{
	size_t len = text.len < max ? text.len : max;
	bool broken = false;

	assert_int_equal(json_object_set_new(object, key, oracle_string(text.data, len, &broken)), 0);
	if (broken)
		oracle_raw(object, key, text.data, len);
}

/* NULs separate the strings. */
static void oracle_args(json_t *object, const char *key, struct event_text text)
{
	size_t len = text.len < EVENT_PATH_MAX ? text.len : EVENT_PATH_MAX, begin = 0;
	json_t *array = json_array();
	bool broken = false;

	for (size_t i = 0; i <= len; i++)
		if (i == len || text.data[i] == '\0') {
			json_array_append_new(array, oracle_string(text.data + begin, i - begin, &broken));
			begin = i + 1;
		}
	assert_int_equal(json_object_set_new(object, key, array), 0);
	if (broken)
		oracle_raw(object, key, text.data, len);
}

static void oracle_field(json_t *object, const struct fb_event *event, unsigned int field)
{
	const struct event_field_info *info = &event_fields[field];
	const void *value = (const char *)event + info->offset;

	switch ((enum event_kind)info->kind) {
	case EVENT_KIND_U32:
		json_object_set_new(object, info->key, json_integer(*(const uint32_t *)value));
		break;
	case EVENT_KIND_U64:
		json_object_set_new(object, info->key, json_integer((json_int_t) * (const uint64_t *)value));
		break;
	case EVENT_KIND_BOOL:
		json_object_set_new(object, info->key, json_boolean(*(const bool *)value));
		break;
	case EVENT_KIND_TEXT:
		oracle_text(object, info->key, *(const struct event_text *)value, EVENT_TEXT_MAX);
		break;
	case EVENT_KIND_PATH:
		oracle_text(object, info->key, *(const struct event_text *)value, EVENT_PATH_MAX);
		break;
	case EVENT_KIND_ARGS:
		oracle_args(object, info->key, *(const struct event_text *)value);
		break;
	}
}

/* The order of the fields in JSON. */
static const unsigned int json_order[] = {
#define F(_member, _kind, _group, _key, _privacy) EVENT_F_##_member,
#define REST(_high, _low)
#include "event-json-fields.h"
#undef F
#undef REST
};

static json_t *oracle(const struct fb_event *event, field_set mask)
{
	static const char *const groups[] = {
		[EVENT_GROUP_STATUS] = "status", [EVENT_GROUP_USAGE] = "usage", [EVENT_GROUP_OLD] = "old"
	};
	field_set has = event->has & mask;
	json_t *object = json_object(), *into;

	if (has & EVENT_BIT(seq))
		oracle_field(object, event, EVENT_F_seq);
	json_object_set_new(object, "type", json_string(event_type_name(event->type)));
	for (size_t i = 0; i < sizeof(json_order) / sizeof(json_order[0]); i++) {
		unsigned int field = json_order[i], group = event_fields[field].group;

		if (!(has >> field & 1))
			continue;
		into = object;
		if (group != EVENT_GROUP_TOP) {
			into = json_object_get(object, groups[group]);
			if (!into) {
				into = json_object();
				json_object_set_new(object, groups[group], into);
			}
		}
		oracle_field(into, event, field);
	}
	return object;
}

/* The line is an object with the same values, in the same order. */
static void assert_line_equal(const char *line, size_t len, json_t *expected)
{
	json_error_t error;
	json_t *parsed = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	char *a, *b;

	if (!parsed)
		fail_msg("%s at %d: %.*s", error.text, error.position, (int)len, line);
	assert_true(json_equal(parsed, expected));
	a = json_dumps(parsed, JSON_COMPACT);
	b = json_dumps(expected, JSON_COMPACT);
	assert_string_equal(a, b);
	free(a);
	free(b);
	json_decref(parsed);
}

static char line[EVENT_JSON_MAX];

static const char *encode(const struct fb_event *event, field_set mask)
{
	static char copy[EVENT_JSON_MAX + 1];
	size_t len = event_json_encode(event, mask, line);

	memcpy(copy, line, len);
	copy[len] = '\0';
	return copy;
}

static void encode_examples(void **state)
{
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_READY);
	assert_string_equal(encode(&event, FIELDS_ALL), "{\"type\":\"ready\"}");
	EVENT_SET(&event, cursor, event_text("0123456789abcdef:7"));
	assert_string_equal(encode(&event, FIELDS_ALL),
			    "{\"type\":\"ready\",\"cursor\":\"0123456789abcdef:7\"}");

	fb_event_init(&event, EVENT_EXIT);
	EVENT_SET(&event, seq, 7);
	EVENT_SET(&event, pid, 4711);
	EVENT_SET(&event, comm, ((struct event_text){ "caf\xe9", 4 }));
	EVENT_SET(&event, code, 0);
	EVENT_SET(&event, user_usec, 1000);
	EVENT_SET(&event, write_chars, UINT64_MAX);
	EVENT_SET(&event, old_uid, UINT32_MAX);
	EVENT_SET(&event, to, 100000000);
	EVENT_SET(&event, instance, 5);
	assert_string_equal(
		encode(&event, FIELDS_ALL),
		"{\"seq\":7,\"type\":\"exit\",\"pid\":4711,\"comm\":\"caf\\ufffd\",\"commRaw\":\"Y2Fm6Q==\","
		"\"status\":{\"code\":0},\"usage\":{\"userUsec\":1000,\"writeChars\":18446744073709551615},"
		"\"old\":{\"uid\":4294967295},\"to\":100000000}");
	/* An object at the end, and groups without a shown field. */
	assert_string_equal(encode(&event, EVENT_BIT(old_uid) | EVENT_BIT(pid)),
			    "{\"type\":\"exit\",\"pid\":4711,\"old\":{\"uid\":4294967295}}");
	assert_string_equal(encode(&event, EVENT_BIT(seq) | EVENT_BIT(code)),
			    "{\"seq\":7,\"type\":\"exit\",\"status\":{\"code\":0}}");
	assert_string_equal(encode(&event, 0), "{\"type\":\"exit\"}");
}

static void encode_every_length_of_integer(void **state)
{
	struct fb_event event;
	char expected[64];
	uint64_t power = 1;

	(void)state;
	fb_event_init(&event, EVENT_FORK);
	for (int digits = 0; digits < 20; digits++, power *= 10) {
		const uint64_t values[] = { power, power - 1, power + 1, power * 9, power * 5 + 7 };

		for (size_t i = 0; i < 5; i++) {
			EVENT_SET(&event, boot_usec, values[i]);
			snprintf(expected, sizeof(expected), "{\"type\":\"fork\",\"bootUsec\":%" PRIu64 "}",
				 values[i]);
			assert_string_equal(encode(&event, FIELDS_ALL), expected);
		}
	}
	for (uint64_t value = 0; value < 120000; value++) {
		event.boot_usec = value;
		snprintf(expected, sizeof(expected), "{\"type\":\"fork\",\"bootUsec\":%" PRIu64 "}", value);
		assert_string_equal(encode(&event, FIELDS_ALL), expected);
	}
}

static void encode_escapes(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "a\"b", "a\\\"b" },
		{ "\\", "\\\\" },
		{ "\b\f\n\r\t", "\\b\\f\\n\\r\\t" },
		{ "\x01\x1f\x0b", "\\u0001\\u001f\\u000b" },
		{ "\x7f", "\x7f" },
		{ "/usr/bin/x", "/usr/bin/x" },
		{ "\xc3\xa9\xc2\x80\xe2\x80\xa7", "\xc3\xa9\xc2\x80\xe2\x80\xa7" },
		/* Characters that some readers treat as the end of a line. */
		{ "a\xc2\x85z\xe2\x80\xa8\xe2\x80\xa9", "a\\u0085z\\u2028\\u2029" },
		{ "\xe2\x80\xaa\xc2\x86", "\xe2\x80\xaa\xc2\x86" },
		{ "\xef\xbf\xbd", "\xef\xbf\xbd" }, /* a literal U+FFFD is valid */
		{ "1234567\n", "1234567\\n" },
		{ "12345678\n", "12345678\\n" },
		{ "\n12345678", "\\n12345678" },
		{ "1234567890123\"5", "1234567890123\\\"5" },
	};
	struct fb_event event;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expected[128];

		fb_event_init(&event, EVENT_COMM);
		EVENT_SET(&event, comm, event_text(cases[i][0]));
		snprintf(expected, sizeof(expected), "{\"type\":\"comm\",\"comm\":\"%s\"}", cases[i][1]);
		assert_string_equal(encode(&event, FIELDS_ALL), expected);
	}
	EVENT_SET(&event, comm, ((struct event_text){ "a\0b", 3 }));
	assert_string_equal(encode(&event, FIELDS_ALL), "{\"type\":\"comm\",\"comm\":\"a\\u0000b\"}");
	EVENT_SET(&event, comm, ((struct event_text){ NULL, 0 }));
	assert_string_equal(encode(&event, FIELDS_ALL), "{\"type\":\"comm\",\"comm\":\"\"}");
}

/* One U+FFFD for each byte that is not part of a valid sequence. */
static void encode_broken_utf8(void **state)
{
	static const char *const cases[][3] = {
		{ "\x80", "\\ufffd", "gA==" },
		{ "\xc0\xaf", "\\ufffd\\ufffd", "wK8=" },			    /* overlong */
		{ "\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd", "4ICv" },		    /* overlong */
		{ "\xf0\x80\x80\xaf", "\\ufffd\\ufffd\\ufffd\\ufffd", "8ICArw==" }, /* overlong */
		{ "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd", "7aCA" },		    /* surrogate */
		{ "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd", "9JCAgA==" }, /* U+110000 */
		{ "\xf5\x80\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd", "9YCAgA==" },
		{ "\xe2\x82", "\\ufffd\\ufffd", "4oI=" }, /* cut */
		{ "\xe2\x82x", "\\ufffd\\ufffdx", "4oJ4" },
		{ "\xf0\x9f\x98", "\\ufffd\\ufffd\\ufffd", "8J+Y" },
		{ "\xe2\xe2\x82\xac", "\\ufffd\xe2\x82\xac", "4uKCrA==" }, /* a sequence inside another */
		{ "\xff\xfe\n", "\\ufffd\\ufffd\\n", "//4K" },
	};
	struct fb_event event;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expected[128];

		fb_event_init(&event, EVENT_COMM);
		EVENT_SET(&event, comm, event_text(cases[i][0]));
		snprintf(expected, sizeof(expected), "{\"type\":\"comm\",\"comm\":\"%s\",\"commRaw\":\"%s\"}",
			 cases[i][1], cases[i][2]);
		assert_string_equal(encode(&event, FIELDS_ALL), expected);
	}
}

/* Every code point, and every pair of bytes: the same verdict as jansson's. */
static void utf8_is_judged_as_by_jansson(void **state)
{
	char data[4];

	(void)state;
	for (unsigned int a = 0; a < 256; a++)
		for (unsigned int b = 0; b < 256; b++)
			for (unsigned int c = 0; c < 256; c += b % 32 ? 64 : 1) {
				data[0] = (char)a;
				data[1] = (char)b;
				data[2] = (char)c;
				data[3] = (char)(c ^ 0x0f);
				for (size_t len = 1; len <= 4; len++)
					assert_int_equal(utf8_sequence(data, len),
							 oracle_character(data, len));
			}
}

static void encode_is_what_jansson_builds(void **state)
{
	struct random random = { 4 };
	static struct random_event a;
	struct guarded buf;

	(void)state;
	guarded_new(&buf, EVENT_JSON_MAX);
	for (int i = 0; i < 4000; i++) {
		field_set mask = random_below(&random, 3) ? FIELDS_ALL : random_next(&random);
		json_t *expected;
		size_t len;

		random_event(&random, &a, FIELDS_ALL);
		len = event_json_encode(&a.event, mask, buf.data);
		assert_true(len <= EVENT_JSON_MAX);
		assert_null(memchr(buf.data, '\n', len));
		expected = oracle(&a.event, mask);
		assert_line_equal(buf.data, len, expected);
		json_decref(expected);
	}
	guarded_free(&buf);
}

/* Texts of every length that end where memory ends. */
static void encode_reads_no_further(void **state)
{
	struct guarded text;
	struct fb_event event;

	(void)state;
	guarded_new(&text, 64);
	for (size_t special = 0; special <= 64; special++) {
		memset(text.data, 'x', 64);
		if (special < 64)
			text.data[special] = special % 2 ? '\xe2' : '"';
		for (size_t len = 0; len <= 64; len++) {
			json_t *expected;
			size_t size;

			fb_event_init(&event, EVENT_EXEC);
			EVENT_SET(&event, exe, ((struct event_text){ text.data + 64 - len, len }));
			size = event_json_encode(&event, FIELDS_ALL, line);
			expected = oracle(&event, FIELDS_ALL);
			assert_line_equal(line, size, expected);
			json_decref(expected);
		}
	}
	guarded_free(&text);
}

static void fill(struct fb_event *event, struct event_text text)
{
	fb_event_init(event, EVENT_HEARTBEAT);
#define F(_member, _kind, _group, _key, _privacy) FILL_##_kind(_member)
#define FILL_U32(_member)			  EVENT_SET(event, _member, UINT32_MAX);
#define FILL_U64(_member)			  EVENT_SET(event, _member, UINT64_MAX);
#define FILL_BOOL(_member)			  EVENT_SET(event, _member, false);
#define FILL_TEXT(_member)			  EVENT_SET(event, _member, text);
#define FILL_PATH(_member)			  EVENT_SET(event, _member, text);
#define FILL_ARGS(_member)			  EVENT_SET(event, _member, text);
#include "event-fields.h"
#undef F
}

/* All fields, with texts over their limits whose bytes have the longest encoding, fit EVENT_JSON_MAX. */
static void encode_fits(void **state)
{
	static const char *const fillings[] = { "\xff", "\x01", "\xff\x01", "\xe2\x82", "x", "\"" };
	static char text[EVENT_PATH_MAX + 1];
	struct fb_event event;
	struct guarded buf;
	size_t longest = 0;

	(void)state;
	guarded_new(&buf, EVENT_JSON_MAX);
	for (size_t i = 0; i < sizeof(fillings) / sizeof(fillings[0]); i++) {
		size_t len;

		for (size_t j = 0; j < sizeof(text); j++)
			text[j] = fillings[i][j % strlen(fillings[i])];
		fill(&event, (struct event_text){ text, sizeof(text) });
		len = event_json_encode(&event, FIELDS_ALL, buf.data);
		longest = len > longest ? len : longest;
		assert_true(len <= EVENT_JSON_MAX);
		/* Each field as the last one. */
		for (unsigned int field = 0; field < _EVENT_FIELD_MAX; field++) {
			field_set mask = FIELDS_ALL >> (127 - field);

			assert_true(event_json_encode(&event, mask, buf.data) <= len);
		}
	}
	/* The bound is not too large: the worst case is close to it. */
	assert_true(longest > EVENT_JSON_MAX / 10 * 9);
	guarded_free(&buf);
}

/* A text is cut at its limit as in the log, even within a character. */
static void encode_cuts_like_pack(void **state)
{
	static char text[EVENT_PATH_MAX + 3], packed[EVENT_PACKED_MAX], first[EVENT_JSON_MAX];
	struct fb_event event, back;
	size_t len;

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = "\xe2\x82\xac"[(i + shift) % 3];
		fill(&event, (struct event_text){ text, sizeof(text) });
		assert_int_equal(fb_event_unpack(&back, packed, fb_event_pack(&event, packed)), 0);
		len = event_json_encode(&event, FIELDS_ALL, first);
		assert_int_equal(event_json_encode(&back, FIELDS_ALL, line), len);
		assert_memory_equal(first, line, len);
	}
}

static void encode_allocates_nothing(void **state)
{
	struct random random = { 5 };
	static struct random_event a;
	unsigned long before;

	(void)state;
	if (!allocations_are_counted())
		return;
	before = allocations;
	for (int i = 0; i < 500; i++) {
		random_event(&random, &a, FIELDS_ALL);
		event_json_encode(&a.event, FIELDS_ALL, line);
	}
	assert_int_equal(allocations, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encode_examples),
		cmocka_unit_test(encode_every_length_of_integer),
		cmocka_unit_test(encode_escapes),
		cmocka_unit_test(encode_broken_utf8),
		cmocka_unit_test(utf8_is_judged_as_by_jansson),
		cmocka_unit_test(encode_is_what_jansson_builds),
		cmocka_unit_test(encode_reads_no_further),
		cmocka_unit_test(encode_fits),
		cmocka_unit_test(encode_cuts_like_pack),
		cmocka_unit_test(encode_allocates_nothing),
	};

	return cmocka_run_group_tests_name("event-json", tests, NULL, NULL);
}
