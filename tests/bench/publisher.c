// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * publisher WIRE ADDRESS FILE - the lines of FILE, over and over, to a broker that speaks WIRE
 *
 * Each line on standard input, "COUNT RATE TICK_USEC", is a task: COUNT lines, RATE a second, those of a tick together; or,
 * with a RATE of 0, as fast as the broker accepts them. Each is answered with a JSON line when all is written:
 *
 *   {"beganUsec":…,"endUsec":…}     CLOCK_MONOTONIC
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/lib/pace.h"
#include "tests/bench/lib/wire.h"

#define BLOCK 32768

static struct line_file messages; /* as the wire has them */

/* All of them, made once, one behind the other. */
static void make(const struct wire *wire, const char *path)
{
	struct line_file file;
	size_t at = 0;
	char *data;

	line_file_read(&file, path);
	data = malloc(file.n * (file.longest + WIRE_MORE));
	messages.lines = calloc(file.n, sizeof(*messages.lines));
	if (!data || !messages.lines)
		die("memory");
	for (messages.n = 0; messages.n < file.n; messages.n++) {
		const struct text_line *line = &file.lines[messages.n];
		size_t len = wire->put(data + at, line->data, line->len - 1);

		messages.lines[messages.n] = (struct text_line){ data + at, len };
		at += len;
	}
}

/* What comes back is of no interest, but must not stay. */
static void drain(int fd)
{
	char data[4096];

	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
}

static void publish(int fd, struct pace *pace)
{
	static size_t next;

	while (!pace_ends(pace)) {
		uint64_t wait = pace_wait(pace), due;
		const struct text_line *first = &messages.lines[next];
		size_t size = 0;

		if (wait > 0)
			usleep((useconds_t)wait);
		due = pace_due(pace, messages.n - next);
		for (; due > 0 && size < BLOCK; due--, pace->done++)
			size += messages.lines[next++].len;
		wire_send(fd, first->data, size);
		if (next == messages.n)
			next = 0;
		drain(fd);
	}
}

int main(int argc, char *argv[])
{
	const struct wire *wire = argc == 4 ? wire_find(argv[1]) : NULL;
	struct pace pace;
	char line[256];
	int fd;

	if (!wire || !wire->put) {
		fprintf(stderr, "usage: publisher nats|mqtt|dbus ADDRESS FILE\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	make(wire, argv[3]);
	fd = wire_connect(argv[2]);
	wire->greet(fd);
	puts("{}");
	while (fgets(line, sizeof(line), stdin) && pace_begin(&pace, line)) {
		publish(fd, &pace);
		printf("{\"beganUsec\":%llu,\"endUsec\":%llu}\n", (unsigned long long)pace.began_usec,
		       (unsigned long long)now_usec());
	}
	return 0;
}
