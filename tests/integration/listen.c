// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * listen DIR [ring] [patient] [snapshot] [complete] [threads] [since=CURSOR] [type=NAME]… [pid=PID]… [tree=PID] [comm=GLOB]…
 *        [exits=MASK] [count=N] [handles=N] - prints the events of libforkbus from the broker in DIR, each as a line of JSON
 * listen DIR list | process=PID | status | open-ring - the answer, likewise
 *
 * With more than one handle, each has a thread, and lines have the number of the handle. Ends after N events of each handle.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "clients/lib/forkbus.h"

#define HANDLES_MAX 8
#define LINE_SIZE   (256 * 1024)
#define ANSWER_USEC 60000000

static struct forkbus *handles[HANDLES_MAX];
static unsigned long count;
static unsigned int n_handles = 1;

static void check(int r, const char *what, const struct forkbus *client)
{
	const char *why = client ? forkbus_get_error(client) : NULL;

	if (r >= 0)
		return;
	printf("{\"item\":\"error\",\"what\":\"%s\",\"errno\":\"%s\"", what, strerrorname_np(-r));
	if (why)
		printf(",\"why\":\"%s\"", why);
	puts("}");
	exit(1);
}

static char *put_text(char *at, const char *text, size_t len)
{
	bool broken = false;

	*at++ = '"';
	at = json_text_write(at, text, len, &broken);
	*at++ = '"';
	return at;
}

static char *put_field(char *at, const struct forkbus_event *event, enum forkbus_field field)
{
	const char *const *strings;
	const char *text;
	uint64_t number;
	size_t n;
	bool yes;

	if (!forkbus_event_has(event, field))
		return at;
	at += sprintf(at, ",\"%s\":", forkbus_field_name(field));
	switch (forkbus_field_kind(field)) {
	case FORKBUS_KIND_UINT:
		check(forkbus_event_get_uint(event, field, &number), "uint", NULL);
		return at + sprintf(at, "%" PRIu64, number);
	case FORKBUS_KIND_BOOL:
		check(forkbus_event_get_bool(event, field, &yes), "bool", NULL);
		return at + sprintf(at, "%s", yes ? "true" : "false");
	case FORKBUS_KIND_TEXT:
		check(forkbus_event_get_text(event, field, &text, &n), "text", NULL);
		return put_text(at, text, n);
	case FORKBUS_KIND_STRINGS:
		check(forkbus_event_get_strings(event, field, &strings, &n), "strings", NULL);
		*at++ = '[';
		for (size_t i = 0; i < n; i++) {
			at = put_text(at, strings[i], strlen(strings[i]));
			*at++ = ',';
		}
		at[-(n > 0)] = ']';
		return at + (n == 0);
	}
	return at;
}

static void print_event(unsigned int handle, const struct forkbus_event *event, const char *cursor, bool ring)
{
	char *line = malloc(LINE_SIZE), *at = line;

	at += sprintf(at, "{\"item\":\"event\",\"handle\":%u,\"ring\":%s,\"type\":\"%s\"", handle,
		      ring ? "true" : "false", forkbus_type_name(forkbus_event_get_type(event)));
	for (unsigned int field = 1; field < FORKBUS_FIELDS_END; field++)
		if (forkbus_field_name(field))
			at = put_field(at, event, field);
	if (cursor)
		at += sprintf(at, ",\"at\":\"%s\"", cursor);
	strcpy(at, "}");
	puts(line);
	free(line);
}

static void *listen_to(void *argument)
{
	unsigned int handle = (unsigned int)(uintptr_t)argument;
	struct forkbus *client = handles[handle];
	const struct forkbus_event *event;
	unsigned long n = 0;

	check(forkbus_start(client), "start", client);
	while (count == 0 || n < count) {
		int r = forkbus_process(client, &event);

		check(r, "process", client);
		if (r == FORKBUS_EVENT) {
			print_event(handle, event, forkbus_get_cursor(client), forkbus_uses_ring(client));
			n++;
		} else if (r == FORKBUS_NOTHING) {
			check(forkbus_wait(client, FORKBUS_FOREVER), "wait", client);
		} else {
			printf("{\"item\":\"%s\",\"handle\":%u}\n",
			       r == FORKBUS_DISCONNECTED ? "disconnected" : "reconnected", handle);
		}
	}
	forkbus_free(client);
	return NULL;
}

static void print_status(const struct forkbus_status *status)
{
	uint64_t times, lost;

	forkbus_status_get_lost(status, NULL, &times, &lost);
	printf("{\"item\":\"status\",\"version\":\"%s\",\"cursor\":\"%s\",\"source\":\"%s\",\"processes\":"
	       "%" PRIu64 ",\"forks\":%" PRIu64 ",\"lostTimes\":%" PRIu64 ",\"lostCount\":%" PRIu64
	       ",\"json\":%s}\n",
	       forkbus_status_get_version(status), forkbus_status_get_cursor(status),
	       forkbus_status_get_source(status), forkbus_status_get_processes(status),
	       forkbus_status_get_events(status, FORKBUS_TYPE_FORK), times, lost,
	       forkbus_status_get_json(status));
}

/* Return: whether it was a question, which is answered. */
static bool ask(struct forkbus *client, const char *question)
{
	const struct forkbus_event *process;
	struct forkbus_event *one;
	struct forkbus_list *list;
	struct forkbus_status *status;
	struct stat file;
	int fd, r;

	if (strcmp(question, "list") == 0) {
		check(forkbus_list_processes(client, ANSWER_USEC, &list), question, client);
		while ((r = forkbus_list_next(list, &process)) > 0)
			print_event(0, process, forkbus_list_get_cursor(list), false);
		check(r, "list_next", NULL);
		forkbus_list_free(list);
	} else if (strncmp(question, "process=", 8) == 0) {
		check(forkbus_get_process(client, (uint32_t)atoi(question + 8), 0, ANSWER_USEC, &one),
		      "process", client);
		print_event(0, one, NULL, false);
		forkbus_event_free(one);
	} else if (strcmp(question, "status") == 0) {
		check(forkbus_get_status(client, ANSWER_USEC, &status), question, client);
		print_status(status);
		forkbus_status_free(status);
	} else if (strcmp(question, "open-ring") == 0) {
		check(forkbus_open_ring(client, ANSWER_USEC, &fd), question, client);
		printf("{\"item\":\"ring\",\"size\":%lld,\"writable\":%s}\n",
		       fstat(fd, &file) == 0 ? (long long)file.st_size : -1,
		       write(fd, "", 0) == 0 ? "true" : "false");
		close(fd);
	} else {
		return false;
	}
	return true;
}

static int set(struct forkbus *client, const char *key, const char *value)
{
	if (strcmp(key, "snapshot") == 0)
		return forkbus_set_snapshot(client, true);
	if (strcmp(key, "complete") == 0)
		return forkbus_set_complete(client, true);
	if (strcmp(key, "threads") == 0)
		return forkbus_set_threads(client, true);
	if (strcmp(key, "since") == 0)
		return forkbus_set_since(client, value);
	if (strcmp(key, "type") == 0)
		return forkbus_add_type(client, forkbus_type_from_name(value));
	if (strcmp(key, "pid") == 0)
		return forkbus_add_pid(client, (uint32_t)atoi(value), 0);
	if (strcmp(key, "tree") == 0)
		return forkbus_set_tree(client, (uint32_t)atoi(value), 0);
	if (strcmp(key, "uid") == 0)
		return forkbus_add_uid(client, (uint32_t)atoi(value));
	if (strcmp(key, "comm") == 0)
		return forkbus_add_glob(client, FORKBUS_FIELD_COMM, value);
	if (strcmp(key, "exits") == 0)
		return forkbus_set_exits(client, (unsigned int)atoi(value));
	return -ENOSYS;
}

int main(int argc, char **argv)
{
	pthread_t threads[HANDLES_MAX];
	uint64_t flags = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 2; i < argc; i++) {
		flags |= strcmp(argv[i], "ring") == 0 ? FORKBUS_RING : 0;
		flags |= strcmp(argv[i], "patient") == 0 ? FORKBUS_PATIENT : 0;
		sscanf(argv[i], "count=%lu", &count);
		sscanf(argv[i], "handles=%u", &n_handles);
	}
	for (unsigned int handle = 0; handle < n_handles && handle < HANDLES_MAX; handle++) {
		check(forkbus_new(&handles[handle], argv[1], flags), "new", NULL);
		for (int i = 2; i < argc; i++) {
			char *key = strdup(argv[i]), *value = strchr(key, '=');
			int r;

			if (ask(handles[handle], argv[i]))
				return 0;
			if (value)
				*value++ = '\0';
			r = set(handles[handle], key, value);
			if (r != -ENOSYS)
				check(r, argv[i], handles[handle]);
			free(key);
		}
	}
	for (uintptr_t i = 1; i < n_handles; i++)
		check(-pthread_create(&threads[i], NULL, listen_to, (void *)i), "thread", NULL);
	listen_to((void *)0);
	for (unsigned int i = 1; i < n_handles; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
