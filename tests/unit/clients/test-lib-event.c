// SPDX-License-Identifier: LGPL-2.1-or-later
/* The public events of libforkbus: their fields are those of the list, and their values are kept exactly. */
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clients/lib/events.h"
#include "clients/lib/wire.h"
#include "tests/unit/allocations.h"
#include "tests/unit/random-event.h"
#include "tests/unit/support.h"

static const char *const members[_EVENT_FIELD_MAX] = {
#define F(_member, _kind, _group, _key, _privacy) [EVENT_F_##_member] = #_member,
#include "event-fields.h"
#undef F
};

static unsigned int public_of(unsigned int internal)
{
	unsigned int field;

	for (field = 1; field < FORKBUS_FIELDS_END; field++)
		if (field_internal(field) == internal)
			return field;
	return 0;
}

/* The public fields are exactly those that JSON has, each once, and named after its member. */
static void fields_are_those_of_the_list(void **state)
{
	size_t size;
	char *header = (char *)file_read("clients/lib/forkbus.h", &size);
	unsigned int reported = 0, numbered = 0;
	char text[128], *at;

	(void)state;
	header[size - 1] = '\0';
	for (unsigned int internal = 0; internal < _EVENT_FIELD_MAX; internal++) {
		unsigned int field = public_of(internal);

		if (event_fields[internal].group == EVENT_GROUP_NONE) {
			assert_int_equal(field, 0);
			continue;
		}
		assert_int_not_equal(field, 0);
		reported++;
		snprintf(text, sizeof(text), "FORKBUS_FIELD_%s = %u", members[internal], field);
		for (at = text; *at != '\0' && *at != ' '; at++)
			*at = (char)toupper((unsigned char)*at);
		if (!strstr(header, text))
			fail_msg("forkbus.h has no \"%s\"", text);
	}
	for (unsigned int field = 0; field < FORKBUS_FIELDS_END; field++)
		numbered += forkbus_field_name(field) != NULL;
	assert_int_equal(numbered, reported);
	free(header);
}

static void names_are_those_of_the_protocol(void **state)
{
	(void)state;
	assert_string_equal(forkbus_field_name(FORKBUS_FIELD_START_USEC), "startUsec");
	assert_string_equal(forkbus_field_name(FORKBUS_FIELD_CODE), "status.code");
	assert_string_equal(forkbus_field_name(FORKBUS_FIELD_MAX_RSS_KIB), "usage.maxRssKib");
	assert_string_equal(forkbus_field_name(FORKBUS_FIELD_OLD_UID), "old.uid");
	for (unsigned int field = 1; field < FORKBUS_FIELDS_END; field++)
		if (forkbus_field_name(field))
			assert_int_equal(forkbus_field_from_name(forkbus_field_name(field)), field);
	assert_int_equal(forkbus_field_from_name("userUsec"), 0);
	assert_int_equal(forkbus_field_from_name("usage."), 0);
	assert_int_equal(forkbus_field_from_name(""), 0);
	assert_null(forkbus_field_name(0));
	assert_null(forkbus_field_name(FORKBUS_FIELDS_END));
	assert_null(forkbus_field_name(10000));
	assert_int_equal(forkbus_field_kind(0), 0);
	assert_int_equal(forkbus_field_kind(10000), 0);
	for (enum event_type type = EVENT_FORK; type < EVENT_HEARTBEAT; type++) {
		assert_string_equal(forkbus_type_name(type_public(type)), event_type_name(type));
		assert_int_equal(forkbus_type_from_name(event_type_name(type)), type_public(type));
	}
	/* The library does not return heartbeats as events. */
	assert_int_equal(forkbus_type_from_name("heartbeat"), 0);
	assert_int_equal(forkbus_type_from_name("frok"), 0);
	assert_int_equal(forkbus_type_from_name(""), 0);
	assert_null(forkbus_type_name(0));
	assert_null(forkbus_type_name(99));
}

static void assert_text(const struct forkbus_event *event, unsigned int field, struct event_text expected)
{
	const char *text;
	size_t len;

	assert_int_equal(forkbus_event_get_text(event, field, &text, &len), 0);
	assert_int_equal(len, expected.len);
	if (len > 0)
		assert_memory_equal(text, expected.data, len);
	assert_int_equal(text[len], '\0');
	assert_int_equal(forkbus_event_get_text(event, field, &text, NULL), 0);
}

static void assert_strings(const struct forkbus_event *event, unsigned int field, struct event_text expected)
{
	const char *const *strings;
	const char *at = expected.data;
	size_t n;

	assert_int_equal(forkbus_event_get_strings(event, field, &strings, &n), 0);
	assert_true(n > 0);
	assert_null(strings[n]);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(strings[i]);

		assert_true(len <= (size_t)(expected.data + expected.len - at));
		assert_memory_equal(strings[i], at, len);
		at += len + 1;
	}
	assert_ptr_equal(at, expected.data + expected.len + 1);
	assert_int_equal(forkbus_event_get_strings(event, field, &strings, NULL), 0);
}

/* Each field can be read by the getter of its kind only. */
static void check_field(const struct forkbus_event *event, const struct fb_event *expected,
			unsigned int internal)
{
	const struct event_field_info *info = &event_fields[internal];
	const void *value = (const char *)expected + info->offset;
	unsigned int field = public_of(internal);
	enum forkbus_kind kind = forkbus_field_kind(field);
	bool has = expected->has >> internal & 1, yes;
	const char *const *strings;
	const char *text;
	uint64_t number;

	assert_int_equal(forkbus_event_has(event, field), has);
	if (kind != FORKBUS_KIND_UINT || !has)
		assert_int_equal(forkbus_event_get_uint(event, field, &number),
				 kind == FORKBUS_KIND_UINT ? -ENODATA : -EINVAL);
	if (kind != FORKBUS_KIND_BOOL || !has)
		assert_int_equal(forkbus_event_get_bool(event, field, &yes),
				 kind == FORKBUS_KIND_BOOL ? -ENODATA : -EINVAL);
	if (kind != FORKBUS_KIND_TEXT || !has)
		assert_int_equal(forkbus_event_get_text(event, field, &text, NULL),
				 kind == FORKBUS_KIND_TEXT ? -ENODATA : -EINVAL);
	if (kind != FORKBUS_KIND_STRINGS || !has)
		assert_int_equal(forkbus_event_get_strings(event, field, &strings, NULL),
				 kind == FORKBUS_KIND_STRINGS ? -ENODATA : -EINVAL);
	if (!has)
		return;
	if (kind == FORKBUS_KIND_UINT) {
		assert_int_equal(forkbus_event_get_uint(event, field, &number), 0);
		assert_true(number == (info->kind == EVENT_KIND_U32 ? *(const uint32_t *)value
								    : *(const uint64_t *)value));
	} else if (kind == FORKBUS_KIND_BOOL) {
		assert_int_equal(forkbus_event_get_bool(event, field, &yes), 0);
		assert_int_equal(yes, *(const bool *)value);
	} else if (kind == FORKBUS_KIND_TEXT) {
		assert_text(event, field, *(const struct event_text *)value);
	} else {
		assert_strings(event, field, *(const struct event_text *)value);
	}
}

static void getters_say_what_is_there(void **state)
{
	struct forkbus_event held = { 0 }, *copy;
	struct random_event random;

	(void)state;
	for (uint64_t seq = 1; seq < 300; seq++) {
		seq_event(&random, seq, 11);
		assert_int_equal(event_copy_set(&held, &random.event), 0);
		assert_int_equal(forkbus_event_copy(&held, &copy), 0);
		for (unsigned int i = 0; i < _EVENT_FIELD_MAX; i++) {
			if (event_fields[i].group == EVENT_GROUP_NONE)
				continue;
			check_field(&held, &random.event, i);
			check_field(copy, &random.event, i);
		}
		assert_int_equal(forkbus_event_get_type(copy), type_public(random.event.type));
		assert_false(forkbus_event_has(copy, 0));
		assert_false(forkbus_event_has(copy, 10000));
		assert_null(forkbus_event_free(copy));
	}
	event_copy_done(&held);
	assert_null(forkbus_event_free(NULL));
}

/* Texts are bytes: invalid UTF-8 and an embedded NUL are kept. */
static void texts_are_bytes(void **state)
{
	static struct event_store store;
	json_t *object =
		json_loads("{\"type\":\"exec\",\"comm\":\"x\",\"commRaw\":\"Y2Fm6Q==\",\"exe\":\"a\\u0000b\","
			   "\"args\":[\"\",\"b\",\"\"]}",
			   JSON_ALLOW_NUL, NULL);
	struct forkbus_event held = { 0 };
	const char *const *strings;
	size_t n;

	(void)state;
	assert_int_equal(event_copy_decode(&held, &store, object), 0);
	assert_text(&held, FORKBUS_FIELD_COMM, event_text("caf\xe9"));
	assert_text(&held, FORKBUS_FIELD_EXE, (struct event_text){ "a\0b", 3 });
	assert_int_equal(forkbus_event_get_strings(&held, FORKBUS_FIELD_ARGS, &strings, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(strings[0], "");
	assert_string_equal(strings[1], "b");
	assert_string_equal(strings[2], "");
	event_copy_done(&held);
	json_decref(object);
}

static void decode_refuses(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{ "{\"type\":\"newer\"}", EVENT_COPY_E_UNKNOWN },
		{ "{\"type\":\"heartbeat\"}", EVENT_COPY_E_UNKNOWN },
		{ "{\"type\":\"fork\"}", 0 },
		{ "{\"type\":5}", -EBADMSG },
		{ "{}", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{\"type\":\"fork\",\"pid\":-1}", -EBADMSG },
		{ "{\"type\":\"fork\",\"pid\":\"1\"}", -EBADMSG },
		{ "{\"type\":\"fork\\u0000\"}", -EBADMSG },
	};
	static struct event_store store;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct forkbus_event held = { 0 };
		json_t *object = json_loads(cases[i].text, JSON_ALLOW_NUL, NULL);

		assert_int_equal(event_copy_decode(&held, &store, object), cases[i].result);
		event_copy_done(&held);
		json_decref(object);
	}
}

/* The length check of parsed values accepts all valid JSON. */
static void measures(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"a\":1,\"bc\":[-12,0,\"\",\"x\",9007199254740993,1.5,-2e3,1E+2,true,null,{}]}",
		"[\"\\n\\\"\\\\\\/\",\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\u0000x\",\"caf\xc3\xa9\"]",
		"{ \"\\u00E9\" : [ 10 , \"\\uFFFD\" ] }",
	};
	json_t *value;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		value = json_loads(texts[i], JSON_ALLOW_NUL, NULL);
		assert_non_null(value);
		assert_true(json_is_whole(value, texts[i], strlen(texts[i])));
		json_decref(value);
	}
	value = json_loads("{\"a\":\"bcd\",\"e\":123}", 0, NULL);
	assert_false(json_is_whole(value, "{\"a\":\"bccd\",\"e\":123}", 21));
	assert_false(json_is_whole(value, "{\"a\":\"bcd\",\"e\":1123}", 21));
	assert_false(json_is_whole(value, "{\"aa\":\"bcd\",\"e\":123}", 21));
	json_decref(value);
}

/* To JSON as the broker's stream prints it, and back. */
static void json_is_that_of_the_stream(void **state)
{
	static char expected[EVENT_JSON_MAX];
	struct random chance = { 12 };
	struct random_event random;

	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		struct forkbus_event held = { 0 }, *back = NULL;
		size_t len, again;
		char *text;

		random_event(&chance, &random, FIELDS_ALL);
		if (type_public(random.event.type) == 0)
			continue;
		assert_int_equal(event_copy_set(&held, &random.event), 0);
		len = event_json_encode(&random.event, FIELDS_ALL, expected);
		assert_int_equal(forkbus_event_to_json(&held, 0, &text, &again), 0);
		assert_int_equal(again, len);
		assert_memory_equal(text, expected, len);
		assert_int_equal(strlen(text), len);
		assert_int_equal(forkbus_event_from_json(text, len, &back), 0);
		free(text);
		assert_int_equal(forkbus_event_to_json(back, 0, &text, NULL), 0);
		assert_int_equal(strlen(text), len);
		assert_memory_equal(text, expected, len);
		free(text);
		forkbus_event_free(back);
		event_copy_done(&held);
	}
}

static void json_of_no_event(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{ "", -EBADMSG },
		{ "{\"type\":\"fork\"", -EBADMSG },
		{ "{\"type\":\"fork\",\"type\":\"fork\"}", -EBADMSG },
		{ "{\"type\":\"fork\",\"pid\":\"1\"}", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{}", -EBADMSG },
		{ "{\"type\":\"newer\"}", -EOPNOTSUPP },
	};
	struct forkbus_event held = { 0 }, *event = NULL;
	char *text = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(forkbus_event_from_json(cases[i].text, strlen(cases[i].text), &event),
				 cases[i].result);
		assert_null(event);
	}
	assert_int_equal(forkbus_event_to_json(&held, 1, &text, NULL), -EINVAL);
	assert_null(text);
}

static void json_without_memory(void **state)
{
	static const char line[] = "{\"type\":\"fork\",\"pid\":7,\"comm\":\"make\"}";
	struct forkbus_event *event = NULL;
	long before = allocations_held;
	unsigned long failed = 0;
	char *text = NULL;
	int r;

	(void)state;
	if (!allocations_can_fail())
		return;
	do {
		allocations_until_failure = ++failed;
		r = forkbus_event_from_json(line, sizeof(line) - 1, &event);
		assert_true(r == 0 || (r == -ENOMEM && !event));
	} while (r < 0);
	assert_true(failed > 3);
	allocations_until_failure = 1;
	assert_int_equal(forkbus_event_to_json(event, 0, &text, NULL), -ENOMEM);
	assert_null(text);
	/* If the block cannot be made smaller, it is returned as it is. */
	allocations_until_failure = 2;
	assert_int_equal(forkbus_event_to_json(event, 0, &text, NULL), 0);
	allocations_until_failure = 0;
	assert_string_equal(text, line);
	free(text);
	forkbus_event_free(event);
	assert_true(allocations_held_are(before));
}

static void copies_without_memory(void **state)
{
	struct forkbus_event held = { 0 }, *copy = NULL;
	struct random_event random;
	long before = allocations_held;

	(void)state;
	if (!allocations_can_fail())
		return;
	seq_event(&random, 5, 11);
	allocations_until_failure = 1;
	assert_int_equal(event_copy_set(&held, &random.event), -ENOMEM);
	assert_int_equal(event_copy_set(&held, &random.event), 0);
	for (unsigned long nth = 1; nth <= 2; nth++) {
		allocations_until_failure = nth;
		assert_int_equal(forkbus_event_copy(&held, &copy), -ENOMEM);
		assert_null(copy);
	}
	allocations_until_failure = 0;
	event_copy_done(&held);
	assert_int_equal(allocations_held, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_those_of_the_list),
		cmocka_unit_test(names_are_those_of_the_protocol),
		cmocka_unit_test(getters_say_what_is_there),
		cmocka_unit_test(texts_are_bytes),
		cmocka_unit_test(decode_refuses),
		cmocka_unit_test(measures),
		cmocka_unit_test(json_is_that_of_the_stream),
		cmocka_unit_test(json_of_no_event),
		cmocka_unit_test(json_without_memory),
		cmocka_unit_test(copies_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
