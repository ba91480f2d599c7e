// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tally.h"

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

static void print_summary(const struct tally *tally, struct notice *notice, const char *when)
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

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
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
	print_summary(tally, notice, when);
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
