// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "details.h"
#include "human.h"
#include "util.h"

static void put_text(const struct term *term, FILE *file, struct event_text text)
{
	term_escape(term, file, text.data, text.len);
}

static const char *arrow(const struct term *term)
{
	return term->utf8 ? "→" : "->";
}

static void put_signal(FILE *file, uint32_t number)
{
	const char *name = number < NSIG ? sigabbrev_np((int)number) : NULL;

	if (name)
		fprintf(file, "SIG%s", name);
	else
		fprintf(file, "signal %" PRIu32, number);
}

/* Padded so that times stand below each other for the most frequent ones. */
static void put_status(FILE *file, const struct fb_event *event)
{
	char code[HUMAN_MAX];

	if (EVENT_HAS(event, signal)) {
		put_signal(file, event->signal);
		if (EVENT_HAS(event, core_dumped) && event->core_dumped)
			fputs(" (core dumped)", file);
	} else if (EVENT_HAS(event, code)) {
		snprintf(code, sizeof(code), "code %" PRIu32, event->code);
		fprintf(file, "%-8s", code);
	} else {
		fprintf(file, "%-8s", "-");
	}
}

static void put_exit(FILE *file, const struct fb_event *event)
{
	char buf[HUMAN_MAX];

	if (fb_event_is_thread(event))
		fprintf(file, "thread %" PRIu32 "  ", event->tid);
	put_status(file, event);
	if (EVENT_HAS(event, elapsed_usec))
		fprintf(file, "  %8s", human_duration(buf, event->elapsed_usec));
	if (EVENT_HAS(event, user_usec) && EVENT_HAS(event, system_usec)) {
		fprintf(file, "  cpu %s", human_duration(buf, event->user_usec));
		fprintf(file, "+%s", human_duration(buf, event->system_usec));
	}
	if (EVENT_HAS(event, max_rss_kib))
		fprintf(file, "  rss %s", human_bytes(buf, event->max_rss_kib * 1024));
}

static void put_fork(FILE *file, const struct fb_event *event)
{
	if (fb_event_is_thread(event))
		fprintf(file, "thread %" PRIu32, event->tid);
	else if (EVENT_HAS(event, ppid))
		fprintf(file, "child of %" PRIu32, event->ppid);
	else
		fputs("-", file);
}

static void put_exe(const struct term *term, FILE *file, const struct fb_event *event)
{
	if (EVENT_HAS(event, exe))
		put_text(term, file, event->exe);
	else if (EVENT_HAS(event, filename))
		put_text(term, file, event->filename);
	else
		fputs("-", file);
}

/* Separated by spaces: for people, who know a command line when they see one. */
static void put_args(const struct term *term, FILE *file, const struct fb_event *event)
{
	struct event_text args = event->args;
	size_t len;

	if (!EVENT_HAS(event, args))
		return;
	fputc(' ', file);
	for (;; args.data += len + 1, args.len -= len + 1) {
		len = strnlen(args.data, args.len);
		fputc(' ', file);
		put_text(term, file, (struct event_text){ args.data, len });
		if (len == args.len)
			break;
	}
	if (EVENT_HAS(event, args_cut) && event->args_cut)
		fputs(term->utf8 ? " …" : " ...", file);
}

static void put_root(const struct term *term, FILE *file, const struct fb_event *event)
{
	fputs("new root directory", file);
	if (!EVENT_HAS(event, root))
		return;
	fputc(' ', file);
	put_text(term, file, event->root);
}

/* Those ids that changed; where nobody knows what was before, those that are. */
static void put_ids(const struct term *term, FILE *file, const struct fb_event *event)
{
	const struct {
		const char *name;
		uint64_t bit, old_bit;
		uint32_t value, old;
	} ids[] = {
		{ "uid", EVENT_BIT(uid), EVENT_BIT(old_uid), event->uid, event->old_uid },
		{ "gid", EVENT_BIT(gid), EVENT_BIT(old_gid), event->gid, event->old_gid },
		{ "euid", EVENT_BIT(euid), EVENT_BIT(old_euid), event->euid, event->old_euid },
		{ "egid", EVENT_BIT(egid), EVENT_BIT(old_egid), event->egid, event->old_egid },
	};
	const char *space = "";

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		if (!(event->has & ids[i].bit))
			continue;
		if (!(event->has & ids[i].old_bit))
			fprintf(file, "%s%s %" PRIu32, space, ids[i].name, ids[i].value);
		else if (ids[i].value != ids[i].old)
			fprintf(file, "%s%s %" PRIu32 "%s%" PRIu32, space, ids[i].name, ids[i].old,
				arrow(term), ids[i].value);
		else
			continue;
		space = "  ";
	}
	if (*space == '\0')
		fputs("-", file);
}

static void put_ptrace(FILE *file, const struct fb_event *event)
{
	if (!EVENT_HAS(event, tracer_pid))
		fputs("-", file);
	else if (event->tracer_pid == 0)
		fputs("no longer traced", file);
	else
		fprintf(file, "traced by %" PRIu32, event->tracer_pid);
}

void details_write(const struct term *term, FILE *file, const struct fb_event *event)
{
	switch (event->type) {
	case EVENT_FORK:
		put_fork(file, event);
		break;
	case EVENT_EXEC:
	case EVENT_PROCESS:
		put_exe(term, file, event);
		put_args(term, file, event);
		break;
	case EVENT_EXIT:
		put_exit(file, event);
		break;
	case EVENT_ID:
		put_ids(term, file, event);
		break;
	case EVENT_COMM:
		fputs("new name", file);
		break;
	case EVENT_SESSION:
		if (EVENT_HAS(event, session))
			fprintf(file, "session %" PRIu32, event->session);
		else
			fputs("-", file);
		break;
	case EVENT_CHROOT:
		put_root(term, file, event);
		break;
	case EVENT_COREDUMP:
		fputs("dumps core", file);
		break;
	case EVENT_PTRACE:
		put_ptrace(file, event);
		break;
	default:
		fputs("-", file);
	}
}

static void put_time(FILE *file, const char *before, uint64_t time_usec)
{
	char buf[HUMAN_MAX];

	fprintf(file, "%s%s.%03u", before, human_time(buf, time_usec),
		(unsigned int)(time_usec % USEC_PER_SEC / USEC_PER_MSEC));
}

static void put_lost(const struct term *term, FILE *file, const struct fb_event *event)
{
	if (EVENT_HAS(event, count))
		fprintf(file, "lost %" PRIu64 " event%s", event->count, event->count == 1 ? "" : "s");
	else
		fputs("lost events, nobody knows how many", file);
	if (EVENT_HAS(event, reason)) {
		fputs(" (", file);
		put_text(term, file, event->reason);
		fputs(")", file);
	}
	if (EVENT_HAS(event, from) && EVENT_HAS(event, to))
		fprintf(file, ": %" PRIu64 "%s%" PRIu64, event->from, term->utf8 ? "…" : "..", event->to);
	if (EVENT_HAS(event, since_usec))
		put_time(file, "  after ", event->since_usec);
	if (EVENT_HAS(event, until_usec))
		put_time(file, "  until ", event->until_usec);
}

static void put_source(const struct term *term, FILE *file, const struct fb_event *event)
{
	fputs("source is ", file);
	put_text(term, file, EVENT_HAS(event, source) ? event->source : event_text("unknown"));
	if (EVENT_HAS(event, reason)) {
		fputs(" (", file);
		put_text(term, file, event->reason);
		fputs(")", file);
	}
	if (EVENT_HAS(event, armed)) {
		fputs(": tells ", file);
		put_text(term, file, event->armed);
	}
}

void details_write_sentence(const struct term *term, FILE *file, const struct fb_event *event)
{
	switch (event->type) {
	case EVENT_LOST:
		put_lost(term, file, event);
		break;
	case EVENT_SOURCE:
		put_source(term, file, event);
		break;
	default:
		fputs("all told up to ", file);
		put_text(term, file, EVENT_HAS(event, cursor) ? event->cursor : event_text("here"));
	}
	if (EVENT_HAS(event, detail)) {
		fputs("  ", file);
		put_text(term, file, event->detail);
	}
}
