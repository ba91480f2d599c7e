// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "details.h"
#include "fields.h"
#include "human.h"

static const char *arrow(const struct term *term)
{
	return term->utf8 ? "→" : "->";
}

static void put_signal(FILE *file, uint64_t number)
{
	const char *name = number < NSIG ? sigabbrev_np((int)number) : NULL;

	if (name)
		fprintf(file, "SIG%s", name);
	else
		fprintf(file, "signal %" PRIu64, number);
}

/* Padded, so that durations of the most frequent statuses are aligned. */
static void put_status(FILE *file, const struct forkbus_event *event)
{
	char code[HUMAN_MAX];

	if (HAS(event, SIGNAL)) {
		put_signal(file, UINT(event, SIGNAL));
		if (FLAG(event, CORE_DUMPED))
			fputs(" (core dumped)", file);
	} else if (HAS(event, CODE)) {
		snprintf(code, sizeof(code), "code %" PRIu64, UINT(event, CODE));
		fprintf(file, "%-8s", code);
	} else {
		fprintf(file, "%-8s", "-");
	}
}

static void put_exit(FILE *file, const struct forkbus_event *event)
{
	char buf[HUMAN_MAX];

	if (is_thread(event))
		fprintf(file, "thread %" PRIu64 "  ", UINT(event, TID));
	put_status(file, event);
	if (HAS(event, ELAPSED_USEC))
		fprintf(file, "  %8s", human_duration(buf, UINT(event, ELAPSED_USEC)));
	if (HAS(event, USER_USEC) && HAS(event, SYSTEM_USEC)) {
		fprintf(file, "  cpu %s", human_duration(buf, UINT(event, USER_USEC)));
		fprintf(file, "+%s", human_duration(buf, UINT(event, SYSTEM_USEC)));
	}
	if (HAS(event, MAX_RSS_KIB))
		fprintf(file, "  rss %s", human_bytes(buf, UINT(event, MAX_RSS_KIB) * 1024));
}

static void put_fork(FILE *file, const struct forkbus_event *event)
{
	if (is_thread(event))
		fprintf(file, "thread %" PRIu64, UINT(event, TID));
	else if (HAS(event, PPID))
		fprintf(file, "child of %" PRIu64, UINT(event, PPID));
	else
		fputs("-", file);
}

static void put_root(const struct term *term, FILE *file, const struct forkbus_event *event)
{
	fputs("new root directory", file);
	if (!HAS(event, ROOT))
		return;
	fputc(' ', file);
	field_write(term, file, event, FORKBUS_FIELD_ROOT);
}

/* Show the ids that changed; if the old ones are unknown, all new ones. */
static void put_ids(const struct term *term, FILE *file, const struct forkbus_event *event)
{
	static const struct {
		const char *name;
		enum forkbus_field now, old;
	} ids[] = {
		{ "uid", FORKBUS_FIELD_UID, FORKBUS_FIELD_OLD_UID },
		{ "gid", FORKBUS_FIELD_GID, FORKBUS_FIELD_OLD_GID },
		{ "euid", FORKBUS_FIELD_EUID, FORKBUS_FIELD_OLD_EUID },
		{ "egid", FORKBUS_FIELD_EGID, FORKBUS_FIELD_OLD_EGID },
	};
	const char *space = "";
	uint64_t now, old;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		if (forkbus_event_get_uint(event, ids[i].now, &now) < 0)
			continue;
		if (forkbus_event_get_uint(event, ids[i].old, &old) < 0)
			fprintf(file, "%s%s %" PRIu64, space, ids[i].name, now);
		else if (now != old)
			fprintf(file, "%s%s %" PRIu64 "%s%" PRIu64, space, ids[i].name, old, arrow(term),
				now);
		else
			continue;
		space = "  ";
	}
	if (*space == '\0')
		fputs("-", file);
}

static void put_ptrace(FILE *file, const struct forkbus_event *event)
{
	if (!HAS(event, TRACER_PID))
		fputs("-", file);
	else if (UINT(event, TRACER_PID) == 0)
		fputs("no longer traced", file);
	else
		fprintf(file, "traced by %" PRIu64, UINT(event, TRACER_PID));
}

static void put_time(FILE *file, const char *before, uint64_t time_usec)
{
	char buf[HUMAN_MAX];

	fprintf(file, "%s%s.%03u", before, human_time(buf, time_usec),
		(unsigned int)(time_usec % USEC_PER_SEC / USEC_PER_MSEC));
}

/* Show the broker's explanation. */
static void put_detail(const struct term *term, FILE *file, const struct forkbus_event *event)
{
	if (!HAS(event, DETAIL))
		return;
	fputs("  ", file);
	field_write(term, file, event, FORKBUS_FIELD_DETAIL);
}

static void put_lost(const struct term *term, FILE *file, const struct forkbus_event *event)
{
	if (HAS(event, COUNT))
		fprintf(file, "lost %" PRIu64 " event%s", UINT(event, COUNT),
			UINT(event, COUNT) == 1 ? "" : "s");
	else
		fputs("lost events, count unknown", file);
	if (HAS(event, REASON)) {
		fputs(" (", file);
		field_write(term, file, event, FORKBUS_FIELD_REASON);
		fputs(")", file);
	}
	if (HAS(event, FROM) && HAS(event, TO))
		fprintf(file, ": %" PRIu64 "%s%" PRIu64, UINT(event, FROM), term->utf8 ? "…" : "..",
			UINT(event, TO));
	if (HAS(event, SINCE_USEC))
		put_time(file, "  after ", UINT(event, SINCE_USEC));
	if (HAS(event, UNTIL_USEC))
		put_time(file, "  until ", UINT(event, UNTIL_USEC));
	put_detail(term, file, event);
}

static void put_source(const struct term *term, FILE *file, const struct forkbus_event *event)
{
	fputs("source is ", file);
	if (HAS(event, SOURCE))
		field_write(term, file, event, FORKBUS_FIELD_SOURCE);
	else
		fputs("unknown", file);
	if (HAS(event, REASON)) {
		fputs(" (", file);
		field_write(term, file, event, FORKBUS_FIELD_REASON);
		fputs(")", file);
	}
	if (HAS(event, ARMED)) {
		fputs(": reports ", file);
		field_write(term, file, event, FORKBUS_FIELD_ARMED);
	}
	put_detail(term, file, event);
}

static void put_ready(const struct term *term, FILE *file, const struct forkbus_event *event)
{
	fputs("caught up to ", file);
	if (HAS(event, CURSOR))
		field_write(term, file, event, FORKBUS_FIELD_CURSOR);
	else
		fputs("here", file);
	put_detail(term, file, event);
}

void details_write(const struct term *term, FILE *file, const struct forkbus_event *event)
{
	switch (forkbus_event_get_type(event)) {
	case FORKBUS_TYPE_FORK:
		put_fork(file, event);
		break;
	case FORKBUS_TYPE_EXIT:
		put_exit(file, event);
		break;
	case FORKBUS_TYPE_ID:
		put_ids(term, file, event);
		break;
	case FORKBUS_TYPE_COMM:
		fputs("new name", file);
		break;
	case FORKBUS_TYPE_SESSION:
		if (HAS(event, SESSION))
			fprintf(file, "session %" PRIu64, UINT(event, SESSION));
		else
			fputs("-", file);
		break;
	case FORKBUS_TYPE_CHROOT:
		put_root(term, file, event);
		break;
	case FORKBUS_TYPE_COREDUMP:
		fputs("dumps core", file);
		break;
	case FORKBUS_TYPE_PTRACE:
		put_ptrace(file, event);
		break;
	case FORKBUS_TYPE_LOST:
		put_lost(term, file, event);
		break;
	case FORKBUS_TYPE_SOURCE:
		put_source(term, file, event);
		break;
	case FORKBUS_TYPE_READY:
		put_ready(term, file, event);
		break;
	default:
		fputs("-", file);
	}
}
