// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "event-json.h"
#include "request.h"

int request_parse_since(struct request *request, json_t *value, struct filter_error *error)
{
	const char *text = json_string_value(value);

	if (text && strlen(text) == json_string_length(value)) {
		if (text[0] == '-' && timespan_parse(text + 1, &request->ago_usec) == 0) {
			request->since = REQUEST_SINCE_TIME;
			return 0;
		}
		if (cursor_parse(text, &request->epoch, &request->seq) == 0) {
			request->since = REQUEST_SINCE_CURSOR;
			return 0;
		}
	}
	return filter_refuse(
		error, "since",
		"must be a cursor as it was given (16 hexadecimal digits, a colon, a number), or a span "
		"before now such as \"-5min\" (units us ms s min h d w)");
}

static int query_parse(struct request *request, json_t *object, struct filter_error *error)
{
	json_t *value = json_object_get(object, "query");
	const char *name = json_string_value(value);

	if (json_object_size(object) != 1)
		return filter_refuse(error, "query", "stands alone, without other keys");
	if (!name || json_string_length(value) != strlen("status") || strcmp(name, "status") != 0)
		return filter_refuse(error, "query", "must be \"status\"");
	request->query = REQUEST_STATUS;
	return 0;
}

/* The keys of the request itself. They are removed from the object, so that those of the filter remain. */
static int own_keys_parse(struct request *request, json_t *object, const char *others,
			  struct filter_error *error)
{
	json_t *snapshot = json_object_get(object, "snapshot");
	json_t *since = json_object_get(object, "since");
	const char *name;
	json_t *value;
	int r;

	json_object_foreach(object, name, value)
		if (!filter_has_key(name) && strcmp(name, "snapshot") != 0 && strcmp(name, "since") != 0)
			return filter_refuse(error, name, "is not known; known are %s" FILTER_KEYS, others);
	if (snapshot && !json_is_boolean(snapshot))
		return filter_refuse(error, "snapshot", "must be true or false");
	request->snapshot = json_is_true(snapshot);
	r = since ? request_parse_since(request, since, error) : 0;
	if (r)
		return r;
	(void)json_object_del(object, "snapshot");
	(void)json_object_del(object, "since");
	return 0;
}

/* The object of a line; an empty line means an empty object. */
static int line_parse(json_t **ret, const char *line, size_t len, struct filter_error *error)
{
	json_error_t json_error;
	size_t i;

	for (i = 0; i < len && memchr(" \t\r\n", line[i], 4); i++)
		;
	if (i == len) {
		*ret = json_object();
		return *ret ? 0 : -ENOMEM;
	}
	/* NULs are accepted here, so that the key that contains one can be named. */
	*ret = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &json_error);
	if (!*ret) {
		/* When memory runs out, the parser does not report it. */
		if (json_error.text[0] == '\0' || json_error_code(&json_error) == json_error_out_of_memory)
			return -ENOMEM;
		return filter_refuse(error, "", "the request is no JSON object: after %d bytes: %s",
				     json_error.position, json_error.text);
	}
	if (!json_is_object(*ret))
		return filter_refuse(error, "", "the request is no JSON object: after %zu bytes: an array",
				     i);
	return 0;
}

static int subscription_parse(struct request *request, json_t *object, const char *others,
			      struct filter_error *error)
{
	int r = own_keys_parse(request, object, others, error);

	return r == 0 ? filter_parse(&request->filter, object, error) : r;
}

int request_parse_object(struct request *request, json_t *object, struct filter_error *error)
{
	struct request parsed = { .query = REQUEST_SUBSCRIBE };
	int r = subscription_parse(&parsed, object, "snapshot, since, ", error);

	if (r == 0)
		*request = parsed;
	return r;
}

int request_parse(struct request *request, const char *line, size_t len, struct filter_error *error)
{
	struct request parsed = { .query = REQUEST_SUBSCRIBE };
	json_auto_t *object = NULL;
	int r;

	r = line_parse(&object, line, len, error);
	if (r)
		return r;
	if (json_object_get(object, "query"))
		r = query_parse(&parsed, object, error);
	else
		r = subscription_parse(&parsed, object, "snapshot, since, query, ", error);
	if (r == 0)
		*request = parsed;
	return r;
}

void request_done(struct request *request)
{
	filter_free(request->filter);
	*request = (struct request){ .query = REQUEST_SUBSCRIBE };
}
