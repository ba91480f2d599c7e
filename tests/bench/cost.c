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
 *   tree      with one subscriber of a tree, who gets it
 *   trees     with a thousand that want one tree each; one of them gets this event
 *   nested    with a thousand trees, each below the one before; only the outermost has this event
 *   nothing   making an event, which is part of all of them
 *
 * Where there are subscribers, it prints the memory that each took in the end, sockets not included.
 */
#include <malloc.h>
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

/* The first root of a tree, and its start. */
#define ROOT	  40000
#define ROOT_USEC UINT64_C(4389543456)

/* What each subscriber wants. */
enum each { EACH_ALL, EACH_UID, EACH_TREE, EACH_NESTED };

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

/* The processes of this thousand trees; a life has one of them as its parent. */
static void set_parent(struct fb_event *event, unsigned int i)
{
	EVENT_SET(event, ppid, ROOT + i);
	EVENT_SET(event, parent_start_usec, ROOT_USEC + 20000 * (uint64_t)i);
}

static void grow_trees(bool nested)
{
	struct fb_event event;

	for (unsigned int i = 0; i < USERS; i++) {
		fb_event_init(&event, EVENT_FORK);
		EVENT_SET(&event, pid, ROOT + i);
		EVENT_SET(&event, start_usec, ROOT_USEC + 20000 * (uint64_t)i);
		if (nested && i > 0)
			set_parent(&event, i - 1);
		hub_publish(hub, &event);
	}
}

static void print_request(char text[static 64], enum each each, unsigned int n)
{
	if (each == EACH_UID)
		snprintf(text, 64, "{\"uids\":[%u]}", 1000 + n);
	else if (each != EACH_ALL)
		snprintf(text, 64, "{\"tree\":%u}", ROOT + n);
	else
		snprintf(text, 64, "{}");
}

static void subscribe(unsigned int n, enum each each)
{
	struct filter_error error;
	struct request request;
	char text[64];

	cursors = calloc(n, sizeof(*cursors));
	expect(cursors != NULL, "no memory");
	for (n_cursors = 0; n_cursors < n; n_cursors++) {
		print_request(text, each, n_cursors);
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
	enum each each;
} parts[] = {
	{ "nothing", nothing, 0, EACH_ALL },	 { "encode", encode, 0, EACH_ALL },
	{ "match", match, 0, EACH_ALL },	 { "append", append, 0, EACH_ALL },
	{ "apply", apply, 0, EACH_ALL },	 { "publish", publish, 0, EACH_ALL },
	{ "one", publish, 1, EACH_ALL },	 { "hundred", publish, 100, EACH_ALL },
	{ "tenants", publish, USERS, EACH_UID }, { "tree", publish, 1, EACH_TREE },
	{ "trees", publish, USERS, EACH_TREE },	 { "nested", publish, USERS, EACH_NESTED },
};

int main(int argc, char *argv[])
{
	unsigned long times = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	size_t part = 0, before;

	while (argc == 3 && part < sizeof(parts) / sizeof(parts[0]) && strcmp(parts[part].name, argv[1]) != 0)
		part++;
	if (times == 0 || part == sizeof(parts) / sizeof(parts[0])) {
		fprintf(stderr, "usage: cost WHAT TIMES\n");
		return 2;
	}
	open_bus();
	make_filter();
	if (parts[part].each == EACH_UID)
		users = USERS;
	if (parts[part].each >= EACH_TREE)
		grow_trees(parts[part].each == EACH_NESTED);
	before = mallinfo2().uordblks;
	if (parts[part].subscribers > 0)
		subscribe(parts[part].subscribers, parts[part].each);
	/* First each user, or each tree, has had one. */
	for (unsigned long n = 0; n < 3 * USERS + times; n++) {
		struct fb_event event;

		life_event(&event, n, users);
		if (parts[part].each >= EACH_TREE)
			set_parent(&event, parts[part].each == EACH_NESTED
						   ? 0
						   : (unsigned int)(n / 3 % parts[part].subscribers));
		parts[part].run(&event);
	}
	if (n_cursors > 0)
		printf("memory: %zu bytes a subscriber\n", (mallinfo2().uordblks - before) / n_cursors);
	for (unsigned int i = 0; i < n_cursors; i++)
		cursor_done(&cursors[i]);
	free(cursors);
	filter_free(filter);
	hub_free(hub);
	return 0;
}
