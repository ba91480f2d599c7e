// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

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
