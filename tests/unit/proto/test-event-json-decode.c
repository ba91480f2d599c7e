// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/text.h"
#include "event-json.h"
#include "tests/unit/allocations.h"
#include "tests/unit/random-event.h"

/* Fields that JSON does not have. */
static const field_set hidden =
	EVENT_BIT(instance) | EVENT_BIT(kernel_seq) | EVENT_BIT(label) | EVENT_BIT(privacy);

static char line[EVENT_JSON_MAX];

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

static void decode_is_the_inverse(void **state)
{
	struct random random = { 6 };
	static struct random_event a;
	static struct event_store store;
	struct fb_event b;

	(void)state;
	for (int i = 0; i < 4000; i++) {
		field_set mask = random_below(&random, 3) ? FIELDS_ALL : random_next(&random);
		size_t len;
		char *exact;

		random_event(&random, &a, FIELDS_ALL);
		len = event_json_encode(&a.event, mask, line);
		exact = malloc(len);
		memcpy(exact, line, len);
		memset(&b, 0xa5, sizeof(b));
		assert_int_equal(event_json_decode(&b, &store, exact, len), 0);
		free(exact);
		a.event.has &= mask & ~hidden;
		assert_true(fb_event_equal(&a.event, &b));
	}
}

static int decode(struct fb_event *event, const char *text)
{
	static struct event_store store;

	return event_json_decode(event, &store, text, strlen(text));
}

static void decode_every_type(void **state)
{
	struct fb_event event;
	char text[64];

	(void)state;
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++) {
		snprintf(text, sizeof(text), "{\"pid\":1,\"type\":\"%s\"}", event_type_name(type));
		assert_int_equal(decode(&event, text), 0);
		assert_int_equal(event.type, type);
		assert_true(event.has == EVENT_BIT(pid));
	}
}

static void decode_takes(void **state)
{
	struct fb_event event;

	(void)state;
	/* Any order, white space, unknown keys, empty objects. */
	assert_int_equal(
		decode(&event,
		       " { \"x\" : [1,{\"pid\":2}], \"status\":{\"y\":null}, \"pid\" : 7 ,\"usage\":{},"
		       "\"type\":\"exit\" }\r\n"),
		0);
	assert_true(event.has == EVENT_BIT(pid));
	assert_int_equal(event.pid, 7);
	/* If there is a raw form, it is the value, and the other one is ignored. */
	assert_int_equal(decode(&event, "{\"type\":\"comm\",\"comm\":\"x\",\"commRaw\":\"Y2Fm6Q==\"}"), 0);
	assert_true(event_text_equal(event.comm, event_text("caf\xe9")));
	assert_int_equal(decode(&event, "{\"type\":\"comm\",\"commRaw\":\"\"}"), 0);
	assert_true(event.has == EVENT_BIT(comm));
	assert_int_equal(event.comm.len, 0);
	/* NULs, and escapes of all kinds. */
	assert_int_equal(decode(&event, "{\"type\":\"comm\",\"comm\":\"a\\u0000\\ud83d\\ude00\"}"), 0);
	assert_true(event_text_equal(event.comm, (struct event_text){ "a\0\xf0\x9f\x98\x80", 6 }));
	/* Ends of ranges. */
	assert_int_equal(
		decode(&event,
		       "{\"type\":\"exit\",\"uid\":4294967295,\"seq\":9223372036854775807,\"gid\":0}"),
		0);
	assert_int_equal(event.uid, UINT32_MAX);
	assert_int_equal(event.seq, INT64_MAX);
	/* A field that JSON does not have is an unknown key. */
	assert_int_equal(decode(&event, "{\"type\":\"exit\",\"instance\":\"x\",\"kernelSeq\":-1}"), 0);
	assert_true(event.has == 0);
}

static void decode_refuses(void **state)
{
	static const char *const cases[] = {
		"",
		" ",
		"x",
		"[]",
		"[{\"type\":\"exit\"}]",
		"\"exit\"",
		"{",
		"{}",
		"{\"type\":\"exit\"} x",
		"{\"type\":\"exit\"}{\"type\":\"exit\"}",
		"{\"type\":\"none\"}",
		"{\"type\":\"Exit\"}",
		"{\"type\":\"\"}",
		"{\"type\":7}",
		"{\"type\":null}",
		"{\"type\":\"exit\\u0000\"}",
		"{\"type\":\"exit\",\"type\":\"exit\"}",
		"{\"type\":\"exit\",\"pid\":1,\"pid\":1}",
		"{\"type\":\"exit\",\"pid\":\"1\"}",
		"{\"type\":\"exit\",\"pid\":-1}",
		"{\"type\":\"exit\",\"pid\":4294967296}",
		"{\"type\":\"exit\",\"pid\":1.0}",
		"{\"type\":\"exit\",\"pid\":null}",
		"{\"type\":\"exit\",\"pid\":true}",
		"{\"type\":\"exit\",\"pid\":[1]}",
		"{\"type\":\"exit\",\"seq\":-1}",
		"{\"type\":\"exit\",\"seq\":9223372036854775808}",
		"{\"type\":\"exit\",\"seq\":1e3}",
		"{\"type\":\"exit\",\"filenameCut\":1}",
		"{\"type\":\"exit\",\"filenameCut\":\"true\"}",
		"{\"type\":\"exit\",\"comm\":7}",
		"{\"type\":\"exit\",\"comm\":null}",
		"{\"type\":\"exit\",\"comm\":\"\xff\"}",
		"{\"type\":\"exit\",\"comm\":\"x\",\"commRaw\":7}",
		"{\"type\":\"exit\",\"comm\":7,\"commRaw\":\"eA==\"}",
		"{\"type\":\"exit\",\"commRaw\":\"eA=\"}",
		"{\"type\":\"exit\",\"commRaw\":\"eA\"}",
		"{\"type\":\"exit\",\"commRaw\":\"eB==\"}",
		"{\"type\":\"exit\",\"commRaw\":\"e===\"}",
		"{\"type\":\"exit\",\"commRaw\":\"====\"}",
		"{\"type\":\"exit\",\"commRaw\":\"eA==eA==\"}",
		"{\"type\":\"exit\",\"commRaw\":\"e-A=\"}",
		"{\"type\":\"exit\",\"commRaw\":\"eHg\\u0000\"}",
		"{\"type\":\"exit\",\"commRaw\":\" eA=\"}",
		"{\"type\":\"exit\",\"commRaw\":\"eA==\\n\"}",
		"{\"type\":\"exit\",\"status\":0}",
		"{\"type\":\"exit\",\"status\":[]}",
		"{\"type\":\"exit\",\"status\":null}",
		"{\"type\":\"exit\",\"status\":{\"code\":\"0\"}}",
		"{\"type\":\"exit\",\"usage\":{\"userUsec\":-5}}",
		"{\"type\":\"exit\",\"old\":{\"uid\":[]}}",
	};
	struct fb_event event;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (decode(&event, cases[i]) != -EBADMSG)
			fail_msg("taken: %s", cases[i]);
}

static void decode_texts_up_to_their_limit(void **state)
{
	static const struct {
		const char *key;
		size_t max;
	} cases[] = { { "comm", EVENT_TEXT_MAX }, { "exe", EVENT_PATH_MAX } };
	static char text[3 * EVENT_PATH_MAX], raw[2 * EVENT_PATH_MAX], bytes[EVENT_PATH_MAX + 1];
	struct fb_event event;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	for (size_t i = 0; i < 2; i++)
		for (size_t more = 0; more < 2; more++) {
			int len = (int)(cases[i].max + more);

			snprintf(text, sizeof(text), "{\"type\":\"exec\",\"%s\":\"%.*s\"}", cases[i].key, len,
				 bytes);
			assert_int_equal(decode(&event, text), more ? -EBADMSG : 0);
			*base64_write(raw, bytes, (size_t)len) = '\0';
			snprintf(text, sizeof(text), "{\"type\":\"exec\",\"%sRaw\":\"%s\"}", cases[i].key,
				 raw);
			assert_int_equal(decode(&event, text), more ? -EBADMSG : 0);
		}
}

/* All texts at once fit the store. */
static void decode_fits_the_store(void **state)
{
	static char text[EVENT_PATH_MAX];
	struct event_store *store = malloc(sizeof(*store));
	struct fb_event event, back;
	size_t len;

	(void)state;
	memset(text, 0xff, sizeof(text));
	fill(&event, (struct event_text){ text, sizeof(text) });
	event.has &= ~hidden;
	for (unsigned int field = 0; field < _EVENT_FIELD_MAX; field++)
		if (event_fields[field].kind == EVENT_KIND_U64)
			*(uint64_t *)(void *)((char *)&event + event_fields[field].offset) = INT64_MAX;
		else if (event_fields[field].kind == EVENT_KIND_TEXT)
			((struct event_text *)(void *)((char *)&event + event_fields[field].offset))->len =
				EVENT_TEXT_MAX;
	len = event_json_encode(&event, FIELDS_ALL, line);
	assert_int_equal(event_json_decode(&back, store, line, len), 0);
	assert_true(fb_event_equal(&event, &back));
	free(store);
}

/* Each allocation of the parser fails once: an error is returned, and no memory is leaked. */
static void decode_without_memory(void **state)
{
	const char *text =
		"{\"type\":\"exit\",\"comm\":\"x\",\"status\":{\"code\":0},\"usage\":{\"userUsec\":1}}";
	long held = allocations_held;
	struct fb_event event;
	unsigned long n = 0;
	bool failed;
	int r;

	(void)state;
	if (!allocations_can_fail())
		return;
	do {
		allocations_until_failure = ++n;
		r = decode(&event, text);
		failed = allocations_until_failure == 0;
		allocations_until_failure = 0;
		assert_true(r == 0 || r == -ENOMEM || r == -EBADMSG);
		assert_int_equal(allocations_held, held);
	} while (failed);
	assert_int_equal(r, 0);
	assert_in_range(n, 5, 200);
}

static void deep_nesting_is_an_error(void **state)
{
	static char text[200000];
	struct fb_event event;
	static struct event_store store;

	(void)state;
	memset(text, '[', sizeof(text));
	memcpy(text, "{\"x\":", 5);
	assert_int_equal(event_json_decode(&event, &store, text, sizeof(text)), -EBADMSG);
}

static void base64_vectors(void **state)
{
	static const char *const cases[][2] = { { "", "" },
						{ "f", "Zg==" },
						{ "fo", "Zm8=" },
						{ "foo", "Zm9v" },
						{ "foob", "Zm9vYg==" },
						{ "fooba", "Zm9vYmE=" },
						{ "foobar", "Zm9vYmFy" } };
	char text[16], back[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i][0]);

		*base64_write(text, cases[i][0], len) = '\0';
		assert_string_equal(text, cases[i][1]);
		assert_int_equal(BASE64_LENGTH(len), strlen(text));
		assert_int_equal(base64_read(back, len, text, strlen(text)), len);
		assert_memory_equal(back, cases[i][0], len);
		if (len > 0)
			assert_int_equal(base64_read(back, len - 1, text, strlen(text)), -1);
	}
}

static void cursors(void **state)
{
	static const struct {
		uint64_t epoch, seq;
		const char *text;
	} cases[] = { { 0, 0, "0000000000000000:0" },
		      { 0xdeadbeef, 42, "00000000deadbeef:42" },
		      { UINT64_MAX, UINT64_MAX, "ffffffffffffffff:18446744073709551615" } };
	static const char *const bad[] = { "",
					   ":",
					   "0",
					   "0000000000000000",
					   "0000000000000000:",
					   "0000000000000000:00",
					   "0000000000000000:01",
					   "000000000000000:1",
					   "00000000000000000:1",
					   "000000000000000A:1",
					   "000000000000000g:1",
					   "0000000000000000 1",
					   "0000000000000000:1x",
					   "0000000000000000:+1",
					   "0000000000000000::1",
					   "0000000000000000:18446744073709551616",
					   "0000000000000000:99999999999999999999",
					   "0000000000000000:184467440737095516150",
					   " 0000000000000000:1",
					   "0000000000000000:1\n" };
	struct random random = { 12 };
	uint64_t epoch = 5, seq = 6;
	char buf[CURSOR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(cursor_print(buf, cases[i].epoch, cases[i].seq), cases[i].text);
		assert_true(strlen(buf) < CURSOR_TEXT_MAX);
		assert_int_equal(cursor_parse(cases[i].text, &epoch, &seq), 0);
		assert_true(epoch == cases[i].epoch && seq == cases[i].seq);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		epoch = 5, seq = 6;
		if (cursor_parse(bad[i], &epoch, &seq) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
		assert_true(epoch == 5 && seq == 6);
	}
	for (int i = 0; i < 2000; i++) {
		uint64_t a = random_integer(&random, UINT64_MAX), b = random_integer(&random, UINT64_MAX);

		assert_int_equal(cursor_parse(cursor_print(buf, a, b), &epoch, &seq), 0);
		assert_true(epoch == a && seq == b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_is_the_inverse),
		cmocka_unit_test(decode_every_type),
		cmocka_unit_test(decode_takes),
		cmocka_unit_test(decode_refuses),
		cmocka_unit_test(decode_texts_up_to_their_limit),
		cmocka_unit_test(decode_fits_the_store),
		cmocka_unit_test(decode_without_memory),
		cmocka_unit_test(deep_nesting_is_an_error),
		cmocka_unit_test(base64_vectors),
		cmocka_unit_test(cursors),
	};

	return cmocka_run_group_tests_name("event-json-decode", tests, NULL, NULL);
}
