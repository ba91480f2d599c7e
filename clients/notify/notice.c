// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "notice.h"

#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR	(60 * USEC_PER_MINUTE)
#define USEC_PER_DAY	(24 * USEC_PER_HOUR)

#define EXE_MAX 400

/* --- words -------------------------------------------------------------------------------------------------------- */

static char *two_units(char *buf, uint64_t usec, uint64_t unit, const char *name, uint64_t small,
		       const char *small_name)
{
	uint64_t rest = usec % unit / small;

	if (rest == 0)
		snprintf(buf, DURATION_MAX, "%" PRIu64 " %s", usec / unit, name);
	else
		snprintf(buf, DURATION_MAX, "%" PRIu64 " %s %" PRIu64 " %s", usec / unit, name, rest,
			 small_name);
	return buf;
}

char *duration_print(char buf[static DURATION_MAX], uint64_t usec)
{
	if (usec < USEC_PER_SEC)
		snprintf(buf, DURATION_MAX, "%" PRIu64 " ms", usec / USEC_PER_MSEC);
	else if (usec < 10 * USEC_PER_SEC)
		snprintf(buf, DURATION_MAX, "%" PRIu64 ".%" PRIu64 " s", usec / USEC_PER_SEC,
			 usec % USEC_PER_SEC / (USEC_PER_SEC / 10));
	else if (usec < USEC_PER_HOUR)
		return usec < USEC_PER_MINUTE
			       ? two_units(buf, usec, USEC_PER_SEC, "s", USEC_PER_SEC, "")
			       : two_units(buf, usec, USEC_PER_MINUTE, "min", USEC_PER_SEC, "s");
	else if (usec < USEC_PER_DAY)
		return two_units(buf, usec, USEC_PER_HOUR, "h", USEC_PER_MINUTE, "min");
	else
		return two_units(buf, usec, USEC_PER_DAY, "d", USEC_PER_HOUR, "h");
	return buf;
}

char *signal_print(char buf[static SIGNAL_MAX], uint64_t number)
{
	const char *name = number < NSIG ? sigabbrev_np((int)number) : NULL;

	if (name)
		snprintf(buf, SIGNAL_MAX, "SIG%s", name);
	else
		snprintf(buf, SIGNAL_MAX, "signal %" PRIu64, number % 1000);
	return buf;
}

/* --- one process -------------------------------------------------------------------------------------------------- */

static void print_summary(struct notice *notice, const struct ending *ending)
{
	char time[DURATION_MAX] = "", by[SIGNAL_MAX];
	const char *after = ending->has_elapsed ? " after " : "";

	if (ending->has_elapsed)
		duration_print(time, ending->elapsed_usec);
	signal_print(by, ending->signal);
	if (notice->kind == KIND_CRASH)
		snprintf(notice->summary, sizeof(notice->summary), "%s crashed: %s", notice->name, by);
	else if (notice->kind == KIND_SUCCESS)
		snprintf(notice->summary, sizeof(notice->summary), "%s is done%s%s", notice->name, after,
			 time);
	else if (notice->kind == KIND_STOPPED)
		snprintf(notice->summary, sizeof(notice->summary), "%s was stopped%s%s", notice->name, after,
			 time);
	else if (ending->signal > 0)
		snprintf(notice->summary, sizeof(notice->summary), "%s was killed by %s%s%s", notice->name,
			 by, after, time);
	else
		snprintf(notice->summary, sizeof(notice->summary), "%s failed with %" PRIu64 "%s%s",
			 notice->name, ending->code, after, time);
}

/* The resources that the process used, without its children. */
static void print_usage(FILE *body, const struct notice *notice, const struct ending *ending)
{
	char time[DURATION_MAX];
	const char *between = "";

	if (notice->kind == KIND_CRASH && ending->core_dumped) {
		fputs("core dumped", body);
		between = ", ";
	}
	if (notice->kind == KIND_CRASH && ending->has_elapsed) {
		fprintf(body, "%safter %s", between, duration_print(time, ending->elapsed_usec));
		between = ", ";
	}
	if (ending->has_cpu) {
		fprintf(body, "%sCPU %s", between, duration_print(time, ending->cpu_usec));
		between = ", ";
	}
	if (ending->has_cpu && ending->has_elapsed && ending->elapsed_usec >= USEC_PER_SEC &&
	    ending->cpu_usec <= ending->elapsed_usec * 10000)
		fprintf(body, " (%" PRIu64 " %%)", ending->cpu_usec * 100 / ending->elapsed_usec);
	if (ending->max_rss_kib >= 1024)
		fprintf(body, "%sup to %" PRIu64 " MiB", between, ending->max_rss_kib / 1024);
	else if (ending->max_rss_kib > 0)
		fprintf(body, "%sup to %" PRIu64 " KiB", between, ending->max_rss_kib);
	if (*between || ending->max_rss_kib > 0)
		fputc('\n', body);
}

static void print_body(struct notice *notice, const struct ending *ending)
{
	char text[EXE_MAX];
	FILE *body = fmemopen(notice->body, sizeof(notice->body), "w");

	notice->body[0] = '\0';
	if (!body)
		return;
	print_usage(body, notice, ending);
	if (ending->exe.data) {
		text_clean(text, sizeof(text), ending->exe.data, ending->exe.len);
		fprintf(body, "%s, ", text);
	}
	fprintf(body, "pid %" PRIu64, ending->pid);
	if (ending->tty.data) {
		text_clean(text, NOTICE_NAME_MAX, ending->tty.data, ending->tty.len);
		fprintf(body, " on %s", text);
	}
	fclose(body);
}

void notice_of_ending(struct notice *notice, const struct ending *ending, enum kind kind,
		      enum urgency urgency)
{
	*notice = (struct notice){ .kind = kind, .urgency = urgency };
	if (ending->comm.data && ending->comm.len > 0)
		text_clean(notice->name, sizeof(notice->name), ending->comm.data, ending->comm.len);
	else
		snprintf(notice->name, sizeof(notice->name), "process %" PRIu64, ending->pid);
	print_summary(notice, ending);
	print_body(notice, ending);
}

/* --- many processes ----------------------------------------------------------------------------------------------- */

static void tally_raise(struct tally *tally, enum kind kind, enum urgency urgency)
{
	if (kind > tally->kind)
		tally->kind = kind;
	if (urgency > tally->urgency)
		tally->urgency = urgency;
}

static void add_name(struct tally *tally, const char *name, uint64_t count)
{
	unsigned int i = 0;

	while (i < tally->n_names && strcmp(tally->names[i].name, name) != 0)
		i++;
	if (i == TALLY_NAMES) {
		tally->others += count;
		return;
	}
	if (i == tally->n_names) {
		strcpy(tally->names[i].name, name);
		tally->names[i].count = 0;
		tally->n_names++;
	}
	tally->names[i].count += count;
}

void tally_add(struct tally *tally, const struct notice *notice)
{
	tally->total++;
	tally->kinds[notice->kind]++;
	tally_raise(tally, notice->kind, notice->urgency);
	add_name(tally, notice->name, 1);
}

void tally_merge(struct tally *tally, const struct tally *other)
{
	tally->total += other->total;
	tally->others += other->others;
	for (unsigned int i = 0; i < _KIND_MAX; i++)
		tally->kinds[i] += other->kinds[i];
	tally_raise(tally, other->kind, other->urgency);
	for (unsigned int i = 0; i < other->n_names; i++)
		add_name(tally, other->names[i].name, other->names[i].count);
}

static void print_numbers(const struct tally *tally, struct notice *notice, const char *when)
{
	uint64_t crashes = tally->kinds[KIND_CRASH], ended = tally->total - crashes;
	char of_commands[64] = "", of_crashes[64] = "";

	if (ended > 0)
		snprintf(of_commands, sizeof(of_commands), "%" PRIu64 " command%s ended", ended,
			 ended == 1 ? "" : "s");
	if (crashes > 0)
		snprintf(of_crashes, sizeof(of_crashes), "%" PRIu64 " crash%s", crashes,
			 crashes == 1 ? "" : "es");
	snprintf(notice->summary, sizeof(notice->summary), "%s%s%s%s", when, of_commands,
		 ended > 0 && crashes > 0 ? ", " : "", of_crashes);
}

static void print_kinds(const struct tally *tally, FILE *body)
{
	static const char *const words[_KIND_MAX] = {
		[KIND_SUCCESS] = "done",
		[KIND_FAILURE] = "failed",
		[KIND_STOPPED] = "stopped",
	};
	static const enum kind order[] = { KIND_SUCCESS, KIND_FAILURE, KIND_STOPPED };
	const char *between = "";

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (tally->kinds[order[i]] == 0)
			continue;
		fprintf(body, "%s%" PRIu64 " %s", between, tally->kinds[order[i]], words[order[i]]);
		between = ", ";
	}
	if (*between)
		fputc('\n', body);
}

void tally_describe(const struct tally *tally, struct notice *notice, const char *when)
{
	FILE *body;

	*notice = (struct notice){ .kind = tally->kind, .urgency = tally->urgency };
	print_numbers(tally, notice, when);
	body = fmemopen(notice->body, sizeof(notice->body), "w");
	if (!body)
		return;
	print_kinds(tally, body);
	for (unsigned int i = 0; i < tally->n_names; i++) {
		fprintf(body, "%s%s", i > 0 ? ", " : "", tally->names[i].name);
		if (tally->names[i].count > 1)
			fprintf(body, " (%" PRIu64 ")", tally->names[i].count);
	}
	if (tally->others > 0)
		fprintf(body, " and %" PRIu64 " other%s", tally->others, tally->others == 1 ? "" : "s");
	fclose(body);
}

/* --- output ------------------------------------------------------------------------------------------------------- */

const char *notice_category(const struct notice *notice)
{
	return notice->kind == KIND_CRASH ? "x-forkbus.process.crashed" : "x-forkbus.process.exited";
}

const char *notice_icon(const struct notice *notice)
{
	switch (notice->kind) {
	case KIND_CRASH:
		return "dialog-error";
	case KIND_FAILURE:
		return "dialog-warning";
	default:
		return "utilities-terminal";
	}
}

bool notice_is_transient(const struct notice *notice)
{
	return notice->kind < KIND_FAILURE;
}

static const char *const kinds[_KIND_MAX] = {
	[KIND_UNKNOWN] = "unknown", [KIND_STOPPED] = "stopped", [KIND_SUCCESS] = "success",
	[KIND_FAILURE] = "failure", [KIND_CRASH] = "crash",
};

static const char *const urgencies[] = {
	[URGENCY_LOW] = "low",
	[URGENCY_NORMAL] = "normal",
	[URGENCY_CRITICAL] = "critical",
};

int notice_print(const struct notice *notice, const struct ending *ending, bool quiet)
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
