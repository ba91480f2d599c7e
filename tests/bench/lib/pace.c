// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pace.h"
#include "wire.h"

uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

bool pace_begin(struct pace *pace, const char *line)
{
	unsigned long long count, rate, tick;

	if (sscanf(line, "%llu %llu %llu", &count, &rate, &tick) != 3 || tick == 0)
		return false;
	*pace = (struct pace){ .count = count, .rate = rate, .tick_usec = tick, .began_usec = now_usec() };
	return true;
}

static uint64_t ticks_of(const struct pace *pace)
{
	return (now_usec() - pace->began_usec) / pace->tick_usec;
}

uint64_t pace_due(const struct pace *pace, uint64_t most)
{
	uint64_t left = pace->count - pace->done, due = left;

	if (pace->rate > 0) {
		uint64_t reported = ticks_of(pace) * pace->tick_usec * pace->rate / 1000000;

		due = reported > pace->done ? reported - pace->done : 0;
	}
	due = due < left ? due : left;
	return due < most ? due : most;
}

uint64_t pace_wait(const struct pace *pace)
{
	uint64_t next = pace->began_usec + (ticks_of(pace) + 1) * pace->tick_usec, now = now_usec();

	if (pace->rate == 0 || pace_due(pace, 1) > 0)
		return 0;
	return next > now ? next - now : 0;
}

void line_file_read(struct line_file *file, const char *path)
{
	FILE *stream = fopen(path, "r");
	size_t size = 0, room = 1 << 20;
	char *at, *end;

	*file = (struct line_file){ .data = malloc(room) };
	if (!stream || !file->data)
		die(path);
	while ((size += fread(file->data + size, 1, room - size, stream)) == room) {
		file->data = realloc(file->data, room *= 2);
		if (!file->data)
			die(path);
	}
	fclose(stream);
	for (at = file->data; (at = memchr(at, '\n', size - (size_t)(at - file->data))); at++)
		file->n++;
	file->lines = calloc(file->n + 1, sizeof(*file->lines));
	if (!file->lines || file->n == 0)
		die(path);
	file->n = 0;
	for (at = file->data; (end = memchr(at, '\n', size - (size_t)(at - file->data))); at = end + 1) {
		struct text_line *line = &file->lines[file->n++];

		*line = (struct text_line){ at, (size_t)(end + 1 - at) };
		if (line->len > file->longest)
			file->longest = line->len;
	}
	if (file->longest > WIRE_LINE_MAX) {
		fprintf(stderr, "%s: a line is too long\n", path);
		exit(1);
	}
}
