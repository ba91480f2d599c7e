// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lists of texts in JSON.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "event-json.h"

static char line[EVENT_JSON_MAX];
static struct event_store store;

static void arguments_are_an_array(void **state)
{
	static const struct {
		const char *args;
		size_t len;
		const char *json;
	} cases[] = {
		{ "", 0, "[\"\"]" },
		{ "ls", 2, "[\"ls\"]" },
		{ "ls\0-l", 5, "[\"ls\",\"-l\"]" },
		{ "ls\0\0a b\0", 8, "[\"ls\",\"\",\"a b\",\"\"]" },
		{ "\0", 1, "[\"\",\"\"]" },
		{ "\"\0\xff", 3, "[\"\\\"\",\"\\ufffd\"],\"argsRaw\":\"IgD/\"" },
	};
	char expected[128];
	struct fb_event event, back;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fb_event_init(&event, EVENT_EXEC);
		EVENT_SET(&event, args, ((struct event_text){ cases[i].args, cases[i].len }));
		snprintf(expected, sizeof(expected), "{\"type\":\"exec\",\"args\":%s}", cases[i].json);
		line[event_json_encode(&event, FIELDS_ALL, line)] = '\0';
		assert_string_equal(line, expected);
		assert_int_equal(event_json_decode(&back, &store, line, strlen(line)), 0);
		assert_true(fb_event_equal(&event, &back));
	}
}

static void decode_refuses(void **state)
{
	static const char *const cases[] = {
		"{\"type\":\"exec\",\"args\":\"ls\"}",
		"{\"type\":\"exec\",\"args\":[]}",
		"{\"type\":\"exec\",\"args\":[],\"argsRaw\":\"eA==\"}",
		"{\"type\":\"exec\",\"args\":[\"ls\",7]}",
		"{\"type\":\"exec\",\"args\":[\"l\\u0000s\"]}",
		"{\"type\":\"exec\",\"args\":[\"ls\"],\"argsRaw\":[\"eA==\"]}",
	};
	struct fb_event event;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (event_json_decode(&event, &store, cases[i], strlen(cases[i])) != -EBADMSG)
			fail_msg("taken: %s", cases[i]);
}

/* At the limit in bytes, separators included. */
static void decode_up_to_the_limit(void **state)
{
	static char text[2 * EVENT_PATH_MAX];
	struct fb_event event;

	(void)state;
	for (int more = 0; more < 2; more++) {
		snprintf(text, sizeof(text), "{\"type\":\"exec\",\"args\":[\"%0*d\",\"%0*d\"]}", 4000, 7,
			 EVENT_PATH_MAX - 4001 + more, 7);
		assert_int_equal(event_json_decode(&event, &store, text, strlen(text)), more ? -EBADMSG : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_an_array),
		cmocka_unit_test(decode_refuses),
		cmocka_unit_test(decode_up_to_the_limit),
	};

	return cmocka_run_group_tests_name("event args", tests, NULL, NULL);
}
