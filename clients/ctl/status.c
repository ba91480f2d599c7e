// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ctl.h"
#include "handle.h"
#include "human.h"
#include "json-print.h"
#include "term.h"

static const char help[] = "forkbusctl status [OPTIONS...]\n"
			   "\n"
			   "Show the broker's status: its source, its events, its losses, its log.\n"
			   "\n"
			   "Options:\n" CTL_HELP_JSON CTL_HELP_RUNTIME_DIR CTL_HELP_COMMON;

static const struct option options[] = { CTL_OPTIONS, CTL_OPTIONS_JSON, {} };

#define LABEL_WIDTH 11

static struct term term;

static void put_string(const char *text)
{
	term_escape(&term, stdout, text, strlen(text));
}

static void put_label(const char *label)
{
	printf("%*s", LABEL_WIDTH - (int)term_columns(&term, label, strlen(label)), "");
	put_string(label);
	fputs(*label ? ": " : "  ", stdout);
}

/* Format a value on one line: strings as they are, other values as JSON. Return: to be freed. */
static char *value_text(const json_t *value)
{
	return json_is_string(value) ? strdup(json_string_value(value))
				     : json_print(value, JSON_ENCODE_ANY | JSON_COMPACT, NULL);
}

static void put_value(const json_t *value)
{
	_cleanup_free_ char *text = value_text(value);

	put_string(text ? text : "-");
}

static bool is_shown(const char *key, const char *const *shown)
{
	for (; shown && *shown; shown++)
		if (strcmp(*shown, key) == 0)
			return true;
	return false;
}

static bool has_pairs(json_t *object, const char *const *shown)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
		if (!is_shown(key, shown))
			return true;
	return false;
}

/* Print "key value  key value" on as many lines as needed, without the keys that were shown before. */
static void put_pairs(json_t *object, const char *const *shown)
{
	unsigned int width = term.width > 0 ? term.width : 100, column = LABEL_WIDTH + 2;
	const char *key;
	json_t *value;
	bool first = true;

	json_object_foreach(object, key, value) {
		_cleanup_free_ char *text = NULL;
		unsigned int columns;

		if (is_shown(key, shown))
			continue;
		text = value_text(value);
		columns = (unsigned int)(strlen(key) + 1 + strlen(text ? text : "-"));
		if (!first && column + 2 + columns > width) {
			fputc('\n', stdout);
			put_label("");
			column = LABEL_WIDTH + 2;
		} else if (!first) {
			fputs("  ", stdout);
			column += 2;
		}
		put_string(key);
		fputc(' ', stdout);
		put_string(text ? text : "-");
		column += columns;
		first = false;
	}
}

static uint64_t number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

static void put_version(json_t *status)
{
	char time[HUMAN_MAX], ago[HUMAN_MAX];
	uint64_t started = number_of(status, "startedUsec");
	uint64_t now = clock_usec(CLOCK_REALTIME);

	fputs("forkbusd ", stdout);
	put_string(string_of(status, "version"));
	if (json_object_get(status, "pid"))
		printf(", pid %" PRIu64, number_of(status, "pid"));
	if (started == 0)
		return;
	/* Whole seconds are exact enough. */
	printf(", since %s (%s)", human_time(time, started),
	       human_duration(ago, now > started ? (now - started) / USEC_PER_SEC * USEC_PER_SEC : 0));
}

static void put_source(json_t *status)
{
	static const char *const shown[] = { "name", "detail", "sinceUsec", "armed", NULL };
	json_t *source = json_object_get(status, "source");
	uint64_t since = number_of(source, "sinceUsec");
	char time[HUMAN_MAX];

	fputs(term_colour(&term, TERM_BOLD), stdout);
	put_string(string_of(source, "name"));
	fputs(term_colour(&term, TERM_PLAIN), stdout);
	if (since > 0)
		printf(", since %s", human_time(time, since));
	if (json_object_get(source, "detail")) {
		fputs(": ", stdout);
		put_string(string_of(source, "detail"));
	}
	if (json_object_get(source, "armed")) {
		fputc('\n', stdout);
		put_label("");
		fputs("reports ", stdout);
		put_value(json_object_get(source, "armed"));
	}
	if (has_pairs(source, shown)) {
		fputc('\n', stdout);
		put_label("");
		put_pairs(source, shown);
	}
}

static void put_events(json_t *status)
{
	json_t *events = json_object_get(status, "events");
	const char *key, *space = ": ";
	uint64_t sum = 0;
	json_t *value;

	json_object_foreach(events, key, value)
		sum += (uint64_t)json_integer_value(value);
	printf("%" PRIu64, sum);
	json_object_foreach(events, key, value) {
		if (json_integer_value(value) == 0)
			continue;
		fputs(space, stdout);
		put_string(key);
		printf(" %" JSON_INTEGER_FORMAT, json_integer_value(value));
		space = "  ";
	}
}

static void put_lost(json_t *status)
{
	const char *key, *space = "";
	json_t *value;

	json_object_foreach(json_object_get(status, "lost"), key, value) {
		uint64_t times = number_of(value, "times"), count = number_of(value, "count");

		if (times == 0)
			continue;
		printf("%s%s", space, term_colour(&term, TERM_ALARM));
		put_string(key);
		/* The number of events may be unknown; the number of losses is always known. */
		if (count > 0)
			printf(" %" PRIu64 " event%s at", count, count == 1 ? "" : "s");
		printf(" %" PRIu64 " time%s%s", times, times == 1 ? "" : "s", term_colour(&term, TERM_PLAIN));
		space = "  ";
	}
	if (*space == '\0')
		fputs("nothing", stdout);
}

static void put_subscribers(json_t *status)
{
	uint64_t views = number_of(status, "views");

	printf("%" PRIu64 " on %" PRIu64 " connections, sharing %" PRIu64 " view%s",
	       number_of(status, "subscribers"), number_of(status, "connections"), views,
	       views == 1 ? "" : "s");
}

static void put_encoded(json_t *status)
{
	const json_t *encoded = json_object_get(status, "encoded");
	char bytes[HUMAN_MAX];

	printf("%" PRIu64 " events, %s", number_of(encoded, "events"),
	       human_bytes(bytes, number_of(encoded, "bytes")));
}

static void put_sent(json_t *status)
{
	char bytes[HUMAN_MAX];

	fputs(human_bytes(bytes, number_of(status, "sentBytes")), stdout);
}

static void put_log(json_t *status)
{
	static const char *const shown[] = { "size",   "used", "firstSeq", "nextSeq", "reachesBackUsec",
					     "folded", NULL };
	json_t *log = json_object_get(status, "log");
	uint64_t size = number_of(log, "size"), used = number_of(log, "used");
	uint64_t first = number_of(log, "firstSeq"), next = number_of(log, "nextSeq");
	char used_text[HUMAN_MAX], size_text[HUMAN_MAX], back[HUMAN_MAX];

	printf("%s of %s used (%" PRIu64 "%%)", human_bytes(used_text, used), human_bytes(size_text, size),
	       size >= 100 ? used / (size / 100) : 0);
	if (next > first)
		printf(", %" PRIu64 " events, reaches back %s", next - first,
		       human_duration(back, number_of(log, "reachesBackUsec")));
	if (number_of(log, "folded") > 0)
		printf(", %" PRIu64 " more were folded", number_of(log, "folded"));
	if (has_pairs(log, shown)) {
		fputs("  ", stdout);
		put_pairs(log, shown);
	}
}

static void put_turn(json_t *status)
{
	const json_t *turn = json_object_get(status, "longestTurn");
	char start[HUMAN_MAX], look[HUMAN_MAX];

	printf("longest turn %s since the start, %s since the last look",
	       human_duration(start, number_of(turn, "sinceStartUsec")),
	       human_duration(look, number_of(turn, "sinceLookUsec")));
}

static void put_processes(json_t *status)
{
	put_value(json_object_get(status, "processes"));
}

static void put_cursor(json_t *status)
{
	put_string(string_of(status, "cursor"));
}

/* Values with a special format; all others are shown after them as they are. */
static const struct {
	const char *label, *key;
	void (*put)(json_t *status);
} rows[] = {
	{ "Broker", "version", put_version },
	{ "Source", "source", put_source },
	{ "Processes", "processes", put_processes },
	{ "Events", "events", put_events },
	{ "Lost", "lost", put_lost },
	{ "Subscribers", "subscribers", put_subscribers },
	{ "Encoded", "encoded", put_encoded },
	{ "Sent", "sentBytes", put_sent },
	{ "Log", "log", put_log },
	{ "Loop", "longestTurn", put_turn },
	{ "Cursor", "cursor", put_cursor },
};

/* Shown as part of another row. */
static const char *const within[] = { "pid", "startedUsec", "connections", "views", NULL };

static bool has_row(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].key, key) == 0)
			return true;
	return is_shown(key, within);
}

static void put_status(json_t *status)
{
	const char *key;
	json_t *value;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!json_object_get(status, rows[i].key))
			continue;
		put_label(rows[i].label);
		rows[i].put(status);
		fputc('\n', stdout);
	}
	json_object_foreach(status, key, value) {
		if (has_row(key))
			continue;
		put_label(key);
		if (json_is_object(value))
			put_pairs(value, NULL);
		else
			put_value(value);
		fputc('\n', stdout);
	}
}

static int status_query(json_t **ret, const struct ctl *ctl)
{
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	struct forkbus_status *status = NULL;
	int r = handle_new(&client, ctl, 0, NULL);

	if (r != CTL_GO_ON)
		return r;
	r = forkbus_get_status(client, CTL_TIMEOUT_USEC, &status);
	if (r < 0)
		return handle_explain(ctl, client, r);
	*ret = json_loads(forkbus_status_get_json(status), JSON_ALLOW_NUL, NULL);
	forkbus_status_free(status);
	if (json_is_object(*ret))
		return CTL_GO_ON;
	return handle_explain(ctl, NULL, -EBADMSG);
}

int ctl_status(struct ctl *ctl, int argc, char *argv[])
{
	json_auto_t *status = NULL;
	int option, r = CTL_GO_ON;

	while (r == CTL_GO_ON && (option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		r = ctl_option(ctl, option, help);
	if (r == CTL_GO_ON)
		r = ctl_no_arguments(argc, argv);
	if (r != CTL_GO_ON)
		return r;

	r = status_query(&status, ctl);
	if (r != CTL_GO_ON)
		return r;
	term_init(&term, STDOUT_FILENO);
	if (ctl->json != CTL_JSON_OFF)
		return ctl_print_json(ctl->json, status);
	put_status(status);
	return ctl_print("");
}
