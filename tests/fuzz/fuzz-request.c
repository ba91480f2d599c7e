// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Any line as a request. If it has a valid filter, the normal form of the filter is a filter, too, with the same normal
 * form; both match the same events.
 */
#include <stdlib.h>

#include "base/text.h"
#include "request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
	if (!condition)
		abort();
}

static void check_error(const struct filter_error *error)
{
	size_t n;

	check(strlen(error->detail) > 0);
	for (const char *at = error->detail; *at; at += n)
		check((n = utf8_sequence(at, strlen(at))) > 0);
	for (const char *at = error->key; *at; at += n)
		check((n = utf8_sequence(at, strlen(at))) > 0);
}

/* Events with the fields that filters look at; their texts are the input itself. */
static void check_match(const struct filter *a, const struct filter *b, struct event_text text)
{
	struct fb_event event;

	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++) {
		fb_event_init(&event, type);
		check(filter_match(a, &event) == filter_match(b, &event));
		EVENT_SET(&event, pid, 7);
		EVENT_SET(&event, start_usec, 1000000);
		EVENT_SET(&event, uid, 1000);
		EVENT_SET(&event, old_uid, 0);
		EVENT_SET(&event, comm, event_text("bash"));
		EVENT_SET(&event, exe, text);
		EVENT_SET(&event, cgroup, event_text("/user.slice/user-1000.slice"));
		EVENT_SET(&event, unit, event_text("cron.service"));
		EVENT_SET(&event, elapsed_usec, 500);
		fb_event_set_status(&event, type % 2 ? 0 : 9);
		check(filter_match(a, &event) == filter_match(b, &event));
		EVENT_SET(&event, tid, 8);
		check(filter_match(a, &event) == filter_match(b, &event));
	}
}

static void check_filter(const struct filter *filter, struct event_text text)
{
	char *first = filter_print(filter), *second;
	struct filter_error error;
	struct filter *again;
	json_t *object;

	check(first != NULL);
	object = json_loads(first, JSON_REJECT_DUPLICATES, NULL);
	check(object != NULL);
	check(filter_parse(&again, object, &error) == 0);
	second = filter_print(again);
	check(second && strcmp(first, second) == 0);
	check_match(filter, again, text);
	filter_free(again);
	json_decref(object);
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter_error error = { 0 };
	struct request request = { .query = REQUEST_SUBSCRIBE };
	int r = request_parse(&request, (const char *)data, size, &error);

	if (r == FILTER_E_INVALID) {
		check_error(&error);
		return 0;
	}
	check(r == 0);
	if (request.query == REQUEST_SUBSCRIBE)
		check_filter(request.filter, (struct event_text){ (const char *)data, size });
	else
		check(!request.filter);
	request_done(&request);
	return 0;
}
