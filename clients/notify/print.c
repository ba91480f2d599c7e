// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include <jansson.h>

#include "print.h"

static const char *const kinds[_KIND_MAX] = {
	[KIND_UNKNOWN] = "unknown", [KIND_STOPPED] = "stopped", [KIND_SUCCESS] = "success",
	[KIND_FAILURE] = "failure", [KIND_CRASH] = "crash",
};

static const char *const urgencies[] = {
	[URGENCY_LOW] = "low",
	[URGENCY_NORMAL] = "normal",
	[URGENCY_CRITICAL] = "critical",
};

int print_notice(const struct notice *notice, const struct ending *ending, bool quiet)
{
	json_t *object = json_pack("{sIsIsssssssssssbsb}", "pid", (json_int_t)ending->pid, "startUsec",
				   (json_int_t)ending->start_usec, "kind", kinds[notice->kind], "urgency",
				   urgencies[notice->urgency], "category", notice_category(notice), "summary",
				   notice->summary, "body", notice->body, "transient",
				   notice_is_transient(notice), "quiet", quiet);
	int r;

	if (!object)
		return -ENOMEM;
	r = json_dumpf(object, stdout, JSON_COMPACT);
	json_decref(object);
	if (r < 0 || fputc('\n', stdout) < 0 || fflush(stdout) != 0)
		return errno > 0 ? -errno : -EIO;
	return 0;
}
