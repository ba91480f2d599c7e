/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Filters for tests: from text, and random ones. Include cmocka first.
 */

#include "filter.h"
#include "random-event.h"

static inline struct filter *filter_of(const char *text)
{
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	struct filter_error error;
	struct filter *filter = NULL;

	assert_non_null(object);
	if (filter_parse(&filter, object, &error) != 0)
		fail_msg("%s: %s: %s", text, error.key, error.detail);
	json_decref(object);
	return filter;
}

/* Patterns, and texts for some of them to match. */
static const char *const random_words[] = { "a",   "b*",     "c?",	    "[d-f]*",	 "",
					    "\\*", "/usr/*", "caf\xc3\xa9", "x.service", "*" };

static inline const char *random_word(struct random *random)
{
	return random_words[random_below(random, sizeof(random_words) / sizeof(random_words[0]))];
}

static inline json_t *random_value(struct random *random, int key)
{
	static const char *const statuses[] = { "any", "success", "failure", "signal" };

	switch (key) {
	case 0:
		return json_string(
			event_type_name((enum event_type)(EVENT_FORK + random_below(random, EVENT_LOST))));
	case 1:
	case 2:
		if (random_below(random, 2))
			return json_integer((json_int_t)(1 + random_below(random, 5)));
		return json_pack("{s:I, s:I}", "startUsec", (json_int_t)random_below(random, 3), "pid",
				 (json_int_t)(1 + random_below(random, 5)));
	case 3:
		return json_integer((json_int_t)(1000 * random_below(random, 5)));
	case 8:
		return json_string(statuses[random_below(random, 4)]);
	default:
		return json_string(random_word(random));
	}
}

static inline json_t *random_filter(struct random *random)
{
	static const char *const names[] = { "types", "pids",	"tree", "uids",	 "comm",
					     "exe",   "cgroup", "unit", "status" };
	json_t *object = json_object();

	for (int n = (int)random_below(random, 7); n > 0; n--) {
		int key = (int)random_below(random, 11);
		json_t *array;

		if (key == 9) {
			json_object_set_new(object, "minElapsedUsec",
					    json_integer((json_int_t)random_below(random, 3)));
		} else if (key == 10) {
			json_object_set_new(object, "threads", json_boolean(random_below(random, 2)));
		} else if (key == 2 || random_below(random, 3) == 0) {
			json_object_set_new(object, names[key], random_value(random, key));
		} else {
			array = json_array();
			for (size_t values = 1 + random_below(random, 12); values > 0; values--)
				json_array_append_new(array, random_value(random, key));
			json_object_set_new(object, names[key], array);
		}
	}
	return object;
}
