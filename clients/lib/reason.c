// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "reason.h"

int reason_set(struct reason *reason, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason->text, sizeof(reason->text), format, arguments);
	va_end(arguments);
	reason->known = true;
	return error;
}

int reason_set_filter(struct reason *reason, const struct filter_error *error)
{
	return reason_set(reason, -EINVAL, "%s%s%s", error->key, *error->key ? ": " : "", error->detail);
}

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

int refusal_errno(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (strcmp(name, refusals[i].name) == 0)
			return refusals[i].error;
	return -EPROTO;
}

int reason_set_refusal(struct reason *reason, const char *name, json_t *parameters)
{
	const char *key = json_string_value(json_object_get(parameters, "key"));
	const char *sentence = json_string_value(json_object_get(parameters, "reason"));
	int error = refusal_errno(name);

	for (size_t i = 0; !sentence && i < ARRAY_SIZE(refusals); i++)
		if (strcmp(name, refusals[i].name) == 0)
			sentence = refusals[i].sentence;
	if (key && sentence)
		return reason_set(reason, error, "%s: %s", key, sentence);
	return reason_set(reason, error, "%s", sentence ? sentence : name);
}
