// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ending.h"

static struct ending_text take_text(const struct forkbus_event *event, enum forkbus_field field)
{
	struct ending_text text = {};

	(void)forkbus_event_get_text(event, field, &text.data, &text.len);
	return text;
}

bool ending_take(struct ending *ending, const struct forkbus_event *event)
{
	uint64_t user, system;

	/* The end of a thread is none of the process. */
	if (forkbus_event_get_type(event) != FORKBUS_TYPE_EXIT || forkbus_event_has(event, FORKBUS_FIELD_TID))
		return false;
	*ending = (struct ending){
		.comm = take_text(event, FORKBUS_FIELD_COMM),
		.exe = take_text(event, FORKBUS_FIELD_EXE),
		.cgroup = take_text(event, FORKBUS_FIELD_CGROUP),
		.tty = take_text(event, FORKBUS_FIELD_TTY),
	};
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_PID, &ending->pid);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_START_USEC, &ending->start_usec);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_PPID, &ending->ppid);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_SESSION, &ending->session);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_SIGNAL, &ending->signal);
	(void)forkbus_event_get_bool(event, FORKBUS_FIELD_CORE_DUMPED, &ending->core_dumped);
	(void)forkbus_event_get_uint(event, FORKBUS_FIELD_MAX_RSS_KIB, &ending->max_rss_kib);
	ending->has_uid = forkbus_event_get_uint(event, FORKBUS_FIELD_UID, &ending->uid) == 0;
	ending->has_code = forkbus_event_get_uint(event, FORKBUS_FIELD_CODE, &ending->code) == 0;
	ending->has_elapsed =
		forkbus_event_get_uint(event, FORKBUS_FIELD_ELAPSED_USEC, &ending->elapsed_usec) == 0;
	if (forkbus_event_get_uint(event, FORKBUS_FIELD_USER_USEC, &user) == 0 &&
	    forkbus_event_get_uint(event, FORKBUS_FIELD_SYSTEM_USEC, &system) == 0) {
		ending->has_cpu = true;
		ending->cpu_usec = user + system;
	}
	return true;
}
