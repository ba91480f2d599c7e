// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cost WHAT TIMES - repeat one part of the broker's work TIMES times, and nothing else: for a tool that counts instructions
 *
 *   encode    an event to its JSON line
 *   match     an event with a filter that has types, uids and a pattern
 *   append    an event to the log
 *   apply     an event to the table of processes
 *   publish   the whole cost of an event without subscribers
 *   one       the whole cost with one subscriber who is up to date, without sending
 *   hundred   the same with a hundred of them, for one delivery
 *   tenants   with a thousand that want one user each; one of them wants this event
 *   nothing   making an event, which is part of all of them
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cursor.h"
#include "event-json.h"
#include "filter.h"
#include "request.h"
#include "tests/bench/lib/life.h"

#define LOG_SIZE (4 * 1024 * 1024)
#define BATCH	 64
#define USERS	 1000

static struct hub *hub;
static struct filter *filter;
static struct cursor *cursors;
static unsigned int n_cursors, users = 1;
static volatile size_t sink;

static void expect(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "cost: %s\n", what);
	exit(1);
}

static void open_bus(void)
{
	char directory[] = "/dev/shm/forkbus-cost-XXXXXX", path[64];
	struct log *log = NULL;

	expect(mkdtemp(directory) != NULL, "no directory");
	snprintf(path, sizeof(path), "%s/log", directory);
	expect(log_open(&log, path, LOG_SIZE, (gid_t)-1) == 0, "no log");
	(void)unlink(path);
	(void)rmdir(directory);
	expect(hub_new(&hub, log, 8 << 20) == 0, "no hub");
}

/* The work of a face, without the socket. */
static void on_wake(struct cursor *cursor)
{
	const char *data;
	ssize_t n;

	while ((n = cursor_peek(cursor, &data)) > 0) {
		sink += (size_t)n;
		expect(cursor_sent(cursor, (size_t)n) == 0, "not sent");
	}
}

static void subscribe(unsigned int n, bool each)
{
	struct filter_error error;
	struct request request;
	char text[64] = "{}";

	cursors = calloc(n, sizeof(*cursors));
	expect(cursors != NULL, "no memory");
	for (n_cursors = 0; n_cursors < n; n_cursors++) {
		if (each)
			snprintf(text, sizeof(text), "{\"uids\":[%u]}", 1000 + n_cursors);
		expect(request_parse(&request, text, strlen(text), &error) == 0, "no request");
		expect(cursor_init(&cursors[n_cursors], hub, &request, (struct visibility){ .all = true },
				   NULL, &encoding_lines, on_wake, &error) == 0,
		       "no cursor");
		request_done(&request);
		on_wake(&cursors[n_cursors]);
	}
}

static void make_filter(void)
{
	static const char text[] =
		"{\"types\":[\"exec\",\"exit\"],\"uids\":[1000,1001],\"comm\":[\"w*k?r\"]}";
	struct filter_error error;
	struct request request;

	expect(request_parse(&request, text, sizeof(text) - 1, &error) == 0, "no filter");
	filter = request.filter;
}

static void nothing(struct fb_event *event)
{
	sink += event->has;
}

static void encode(struct fb_event *event)
{
	static char line[EVENT_JSON_MAX];

	sink += event_json_encode(event, FIELDS_ALL, line);
}

static void match(struct fb_event *event)
{
	sink += filter_match(filter, event);
}

static void append(struct fb_event *event)
{
	sink += log_append(hub_log(hub), event);
}

static void apply(struct fb_event *event)
{
	sink += (size_t)hub_learn(hub, event);
}

static void publish(struct fb_event *event)
{
	static unsigned int n;

	hub_publish(hub, event);
	if (++n % BATCH == 0)
		hub_flush(hub);
}

static const struct {
	const char *name;
	void (*run)(struct fb_event *event);
	unsigned int subscribers;
	bool each;
} parts[] = {
	{ "nothing", nothing, 0, false },    { "encode", encode, 0, false },
	{ "match", match, 0, false },	     { "append", append, 0, false },
	{ "apply", apply, 0, false },	     { "publish", publish, 0, false },
	{ "one", publish, 1, false },	     { "hundred", publish, 100, false },
	{ "tenants", publish, USERS, true },
};

int main(int argc, char *argv[])
{
	unsigned long times = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	size_t part = 0;

	while (argc == 3 && part < sizeof(parts) / sizeof(parts[0]) && strcmp(parts[part].name, argv[1]) != 0)
		part++;
	if (times == 0 || part == sizeof(parts) / sizeof(parts[0])) {
		fprintf(stderr, "usage: cost WHAT TIMES\n");
		return 2;
	}
	open_bus();
	make_filter();
	if (parts[part].each)
		users = USERS;
	if (parts[part].subscribers > 0)
		subscribe(parts[part].subscribers, parts[part].each);
	/* First each user has had one. */
	for (unsigned long n = 0; n < 3 * users + times; n++) {
		struct fb_event event;

		life_event(&event, n, users);
		parts[part].run(&event);
	}
	for (unsigned int i = 0; i < n_cursors; i++)
		cursor_done(&cursors[i]);
	free(cursors);
	filter_free(filter);
	hub_free(hub);
	return 0;
}
