// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

struct forkbus_status {
	struct reply reply;
	char *json;
	const char *version, *cursor, *source; /* the reply's */
	uint64_t processes;
};

/* A text without a NUL, as the interface requires. */
static const char *text_get(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static uint64_t uint_get(json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static int status_read(struct forkbus_status *status)
{
	json_t *parameters = status->reply.parameters;
	uint64_t epoch, seq;

	status->version = text_get(parameters, "version");
	status->cursor = text_get(parameters, "cursor");
	status->source = text_get(json_object_get(parameters, "source"), "name");
	status->processes = uint_get(parameters, "processes");
	if (!status->version || !status->source || reply_cursor(&status->reply, &epoch, &seq) < 0)
		return -EBADMSG;
	status->json = json_dumps(parameters, JSON_COMPACT);
	return status->json ? 0 : -ENOMEM;
}

int forkbus_get_status(struct forkbus *client, uint64_t timeout_usec, struct forkbus_status **ret)
{
	struct forkbus_status *status;
	struct query query;
	int r;

	r = query_ask(client, "org.forkbus1.GetStatus", json_object(), timeout_usec, &query);
	if (r < 0)
		return r;
	status = calloc(1, sizeof(*status));
	if (status) {
		status->reply = query.reply;
		query.reply = (struct reply){ 0 };
	}
	query_done(&query);
	r = status ? status_read(status) : -ENOMEM;
	if (r < 0) {
		forkbus_status_free(status);
		return r;
	}
	*ret = status;
	return 0;
}

struct forkbus_status *forkbus_status_free(struct forkbus_status *status)
{
	if (status) {
		reply_done(&status->reply);
		free(status->json);
		free(status);
	}
	return NULL;
}

const char *forkbus_status_get_version(const struct forkbus_status *status)
{
	return status->version;
}

const char *forkbus_status_get_cursor(const struct forkbus_status *status)
{
	return status->cursor;
}

const char *forkbus_status_get_source(const struct forkbus_status *status)
{
	return status->source;
}

const char *forkbus_status_get_json(const struct forkbus_status *status)
{
	return status->json;
}

uint64_t forkbus_status_get_processes(const struct forkbus_status *status)
{
	return status->processes;
}

uint64_t forkbus_status_get_events(const struct forkbus_status *status, enum forkbus_type type)
{
	const char *name = forkbus_type_name(type);

	return name ? uint_get(json_object_get(status->reply.parameters, "events"), name) : 0;
}

void forkbus_status_get_lost(const struct forkbus_status *status, const char *reason, uint64_t *times,
			     uint64_t *count)
{
	json_t *lost = json_object_get(status->reply.parameters, "lost");
	uint64_t sums[2] = { 0, 0 };
	const char *key;
	json_t *value;

	json_object_foreach(lost, key, value) {
		if (reason && strcmp(key, reason) != 0)
			continue;
		sums[0] += uint_get(value, "times");
		sums[1] += uint_get(value, "count");
	}
	if (times)
		*times = sums[0];
	if (count)
		*count = sums[1];
}
