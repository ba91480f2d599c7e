// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "event-json.h"
#include "reply.h"

static const struct {
	const char *name;
	int error;
	const char *sentence;
} refusals[] = {
	{ "org.forkbus1.InvalidFilter", -EINVAL, "the filter is invalid" },
	{ "org.forkbus1.InvalidCursor", -ERANGE, "the cursor does not belong to this log" },
	{ "org.forkbus1.CursorExpired", -ESTALE, "the log does not reach back to the cursor" },
	{ "org.forkbus1.NoSuchProcess", -ESRCH, "no such process, or you may not see it" },
	{ "org.forkbus1.TooManySubscriptions", -EUSERS, "too many connections to the broker" },
	{ "org.forkbus1.OutOfMemory", -ENOBUFS, "the broker is out of memory" },
	{ "org.varlink.service.PermissionDenied", -EACCES, "the broker does not permit this" },
	{ "org.varlink.service.InterfaceNotFound", -EOPNOTSUPP, "not a forkbus broker" },
	{ "org.varlink.service.MethodNotFound", -EOPNOTSUPP, "this broker does not support this" },
	{ "org.varlink.service.MethodNotImplemented", -EOPNOTSUPP, "this broker does not support this" },
	{ "org.varlink.service.InvalidParameter", -EINVAL, "the broker does not understand a parameter" },
};
#define REFUSALS_N (sizeof(refusals) / sizeof(refusals[0]))

int reply_set(struct reply *reply, json_t *message)
{
	json_t *parameters = json_object_get(message, "parameters");
	json_t *continues = json_object_get(message, "continues");
	json_t *error = json_object_get(message, "error");

	*reply = (struct reply){ message, parameters, json_is_true(continues) };
	if ((parameters && !json_is_object(parameters)) || (continues && !json_is_boolean(continues)) ||
	    (error && !json_is_string(error)) || (!error && !parameters)) {
		reply_done(reply);
		return -EBADMSG;
	}
	return error ? REPLY_E_REFUSED : 0;
}

void reply_done(struct reply *reply)
{
	json_decref(reply->message);
	*reply = (struct reply){ 0 };
}

static const char *error_name(const struct reply *reply)
{
	return json_string_value(json_object_get(reply->message, "error"));
}

int reply_errno(const struct reply *reply)
{
	for (size_t i = 0; i < REFUSALS_N; i++)
		if (strcmp(error_name(reply), refusals[i].name) == 0)
			return refusals[i].error;
	return -EPROTO;
}

void reply_explain(const struct reply *reply, struct reason *ret)
{
	const char *key = json_string_value(json_object_get(reply->parameters, "key"));
	const char *reason = json_string_value(json_object_get(reply->parameters, "reason"));
	const char *name = error_name(reply);

	for (size_t i = 0; !reason && i < REFUSALS_N; i++)
		if (strcmp(name, refusals[i].name) == 0)
			reason = refusals[i].sentence;
	if (key && reason)
		reason_set(ret, 0, "%s: %s", key, reason);
	else
		reason_set(ret, 0, "%s", reason ? reason : name);
}

int reply_cursor(const struct reply *reply, uint64_t *epoch, uint64_t *seq)
{
	json_t *cursor = json_object_get(reply->parameters, "cursor");
	const char *text = json_string_value(cursor);

	if (!text || strlen(text) != json_string_length(cursor) || cursor_parse(text, epoch, seq) < 0)
		return -EBADMSG;
	return 0;
}
