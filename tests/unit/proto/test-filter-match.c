// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "filter.h"
#include "tests/unit/allocations.h"
#include "tests/unit/random-filter.h"

static bool matches(const char *text, const struct fb_event *event)
{
	struct filter *filter = filter_of(text);
	bool result = filter_match(filter, event);

	filter_free(filter);
	return result;
}

static void what_always_matches(void **state)
{
	const char *narrow = "{\"types\":\"exit\",\"pids\":[1],\"uids\":[1],\"comm\":\"x\",\"status\":"
			     "\"any\",\"minElapsedUsec\":1}";
	struct fb_event event;

	(void)state;
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++) {
		fb_event_init(&event, type);
		assert_true(matches("{}", &event));
		assert_int_equal(matches(narrow, &event), (EVENT_TYPES_ALWAYS & EVENT_TYPE_BIT(type)) != 0);
	}
}

static void match_types(void **state)
{
	struct fb_event event;

	(void)state;
	for (enum event_type type = EVENT_FORK; type <= EVENT_PTRACE; type++) {
		fb_event_init(&event, type);
		assert_int_equal(matches("{\"types\":[\"exit\",\"exec\"]}", &event),
				 type == EVENT_EXIT || type == EVENT_EXEC);
		assert_false(matches("{\"types\":\"lost\"}", &event));
	}
	/* A snapshot is requested separately from the types; the other keys filter it. */
	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, uid, 5);
	assert_true(matches("{\"types\":\"exit\"}", &event));
	assert_true(matches("{\"types\":\"exit\",\"uids\":5}", &event));
	assert_false(matches("{\"types\":\"exit\",\"uids\":6}", &event));
}

static void match_threads(void **state)
{
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_FORK);
	EVENT_SET(&event, pid, 7);
	EVENT_SET(&event, tid, 7);
	assert_true(matches("{}", &event));
	EVENT_SET(&event, tid, 8);
	assert_false(matches("{}", &event));
	assert_false(matches("{\"pids\":7}", &event));
	assert_true(matches("{\"threads\":true}", &event));
	assert_true(matches("{\"threads\":true,\"pids\":7}", &event));
}

static void match_pids(void **state)
{
	const char *with_start =
		"{\"pids\":[{\"pid\":7,\"startUsec\":1000000},{\"pid\":7,\"startUsec\":5000000},9]}";
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_FORK);
	assert_false(matches("{\"pids\":7}", &event));
	EVENT_SET(&event, pid, 7);
	assert_true(matches("{\"pids\":7}", &event));
	assert_true(matches("{\"pids\":[1,3,5,7,9]}", &event));
	assert_false(matches("{\"pids\":[1,3,5,8,9]}", &event));
	assert_true(matches(with_start, &event)); /* without a start only the pid is compared */
	EVENT_SET(&event, start_usec, 0);
	assert_true(matches("{\"pids\":7}", &event));
	for (int64_t off = -2; off <= 2; off++) {
		event.start_usec = (uint64_t)(1000000 + EVENT_START_SLACK_USEC + off);
		assert_int_equal(matches(with_start, &event), off <= 0);
		event.start_usec = (uint64_t)(1000000 - EVENT_START_SLACK_USEC + off);
		assert_int_equal(matches(with_start, &event), off >= 0);
	}
	/* Of two exact ones only the same is meant: a pid may be used again at once. */
	event.start_usec = 1000001;
	assert_true(matches("{\"pids\":{\"pid\":7,\"startUsec\":1000001}}", &event));
	assert_true(matches("{\"pids\":{\"pid\":7,\"startUsec\":1010000}}", &event));
	assert_false(matches("{\"pids\":{\"pid\":7,\"startUsec\":1000002}}", &event));
	event.start_usec = 5000000;
	assert_true(matches(with_start, &event));
	event.start_usec = 3000000;
	assert_false(matches(with_start, &event));
	event.pid = 9;
	assert_true(matches(with_start, &event));
}

/* Of many values, each matches, and no others. */
static void match_many_values(void **state)
{
	struct fb_event event;
	char text[256];

	(void)state;
	for (uint32_t n = 1; n < 20; n++) {
		size_t len = 0;

		for (uint32_t value = 2; value <= 2 * n; value += 2)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", len ? "," : "",
						value);
		for (uint32_t value = 0; value < 2 * n + 4; value++) {
			bool expected = value > 0 && value % 2 == 0 && value <= 2 * n;
			char line[300];

			fb_event_init(&event, EVENT_EXEC);
			EVENT_SET(&event, pid, value);
			EVENT_SET(&event, uid, value);
			snprintf(line, sizeof(line), "{\"pids\":[%s]}", text);
			assert_int_equal(matches(line, &event), expected);
			snprintf(line, sizeof(line), "{\"uids\":[%s]}", text);
			assert_int_equal(matches(line, &event), expected);
		}
	}
}

static void match_uids(void **state)
{
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_EXEC);
	assert_false(matches("{\"uids\":[0,1000]}", &event));
	EVENT_SET(&event, uid, 1000);
	EVENT_SET(&event, old_uid, 5);
	assert_true(matches("{\"uids\":[0,1000]}", &event));
	assert_false(matches("{\"uids\":[0,1001]}", &event));
	assert_false(matches("{\"uids\":5}", &event)); /* only id events have two uids */
	event.type = EVENT_ID;
	assert_true(matches("{\"uids\":5}", &event));
	assert_true(matches("{\"uids\":1000}", &event));
	assert_false(matches("{\"uids\":6}", &event));
}

static void match_texts(void **state)
{
	static const struct {
		const char *key;
		unsigned int field;
		size_t max;
	} cases[] = { { "comm", EVENT_F_comm, EVENT_TEXT_MAX },
		      { "exe", EVENT_F_exe, EVENT_PATH_MAX },
		      { "cgroup", EVENT_F_cgroup, EVENT_PATH_MAX },
		      { "unit", EVENT_F_unit, EVENT_TEXT_MAX } };
	static char text[EVENT_PATH_MAX + 10], value[EVENT_PATH_MAX + 10];
	struct fb_event event;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct event_text *member = (void *)((char *)&event + event_fields[cases[i].field].offset);

		fb_event_init(&event, EVENT_EXEC);
		snprintf(text, sizeof(text), "{\"%s\":[\"bash\",\"/usr/*\"]}", cases[i].key);
		assert_false(matches(text, &event));
		event.has = FIELD_BIT(cases[i].field);
		*member = (struct event_text){ "bashful", 4 };
		assert_true(matches(text, &event));
		member->len = 5;
		assert_false(matches(text, &event));
		*member = event_text("/usr/bin/cc1");
		assert_true(matches(text, &event));
		*member = (struct event_text){ NULL, 0 };
		assert_false(matches(text, &event));
		/* Texts are compared as far as the log keeps them, so that live and logged events give the same result. */
		memset(value, 'a', sizeof(value));
		value[cases[i].max - 1] = 'z';
		*member = (struct event_text){ value, sizeof(value) };
		snprintf(text, sizeof(text), "{\"%s\":\"*z\"}", cases[i].key);
		assert_true(matches(text, &event));
	}
}

static void match_status(void **state)
{
	static const struct {
		uint32_t status; /* as from wait(2) */
		bool any, success, failure, signal;
	} cases[] = { { 0, true, true, false, false },
		      { 1 << 8, true, false, true, false },
		      { 255 << 8, true, false, true, false },
		      { 9, true, false, true, true },
		      { 0x8b, true, false, true, true } };
	struct fb_event event;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fb_event_init(&event, EVENT_EXIT);
		assert_false(matches("{\"status\":\"any\"}", &event));
		fb_event_set_status(&event, cases[i].status);
		assert_int_equal(matches("{\"status\":\"any\"}", &event), cases[i].any);
		assert_int_equal(matches("{\"status\":\"success\"}", &event), cases[i].success);
		assert_int_equal(matches("{\"status\":\"failure\"}", &event), cases[i].failure);
		assert_int_equal(matches("{\"status\":\"signal\"}", &event), cases[i].signal);
		assert_int_equal(matches("{\"status\":[\"success\",\"signal\"]}", &event),
				 cases[i].success || cases[i].signal);
		assert_true(matches("{\"status\":[\"success\",\"failure\"]}", &event));
	}
}

static void match_min_elapsed(void **state)
{
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_EXIT);
	assert_false(matches("{\"minElapsedUsec\":0}", &event));
	EVENT_SET(&event, elapsed_usec, 100);
	assert_true(matches("{\"minElapsedUsec\":0}", &event));
	assert_true(matches("{\"minElapsedUsec\":100}", &event));
	assert_false(matches("{\"minElapsedUsec\":101}", &event));
}

/* Keys are ANDed: all together match if each matches alone. */
static void match_is_an_and(void **state)
{
	struct random random = { 9 };
	unsigned int matched = 0, tried = 0;
	static struct random_event a;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		json_t *object = random_filter(&random), *value;
		struct filter_error error;
		struct filter *filter, *alone;
		bool expected = true;
		const char *name;

		random_event(&random, &a, FIELDS_ALL);
		a.event.pid = 1 + (uint32_t)random_below(&random, 5);
		a.event.start_usec = random_below(&random, 20000);
		a.event.uid = 1000 * (uint32_t)random_below(&random, 5);
		if (random_below(&random, 3))
			EVENT_CLEAR(&a.event, tid);
		a.event.comm = event_text(random_word(&random));
		assert_int_equal(filter_parse(&filter, object, &error), 0);
		json_object_foreach(object, name, value) {
			json_t *one = json_pack("{s:O}", name, value);

			/* threads adds events, so it is combined with each other key. */
			if (json_is_true(json_object_get(object, "threads")))
				json_object_set_new(one, "threads", json_true());
			assert_int_equal(filter_parse(&alone, one, &error), 0);
			expected &= filter_match(alone, &a.event);
			filter_free(alone);
			json_decref(one);
		}
		if (json_object_size(object) > 0) {
			assert_int_equal(filter_match(filter, &a.event), expected);
			matched += expected;
			tried++;
		}
		filter_free(filter);
		json_decref(object);
	}
	assert_in_range(matched, tried / 10, tried / 10 * 9);
}

static void match_allocates_nothing(void **state)
{
	struct random random = { 10 };
	static struct random_event a;
	struct filter *filter;
	unsigned long before;

	(void)state;
	if (!allocations_are_counted())
		return;
	filter = filter_of(
		"{\"uids\":[0,1],\"pids\":[1,2],\"comm\":[\"a*b\",\"x\"],\"exe\":\"*?*\",\"cgroup\":"
		"\"*\",\"status\":\"any\"}");
	before = allocations;
	for (int i = 0; i < 1000; i++) {
		random_event(&random, &a, FIELDS_ALL);
		a.event.uid = a.event.pid = 1;
		a.event.type = EVENT_EXIT;
		EVENT_SET(&a.event, comm, event_text("axxb"));
		filter_match(filter, &a.event);
	}
	assert_int_equal(allocations, before);
	filter_free(filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_always_matches),
		cmocka_unit_test(match_types),
		cmocka_unit_test(match_threads),
		cmocka_unit_test(match_pids),
		cmocka_unit_test(match_many_values),
		cmocka_unit_test(match_uids),
		cmocka_unit_test(match_texts),
		cmocka_unit_test(match_status),
		cmocka_unit_test(match_min_elapsed),
		cmocka_unit_test(match_is_an_and),
		cmocka_unit_test(match_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
