// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * loop PATH FILE - the least that sending to many can cost: a loop of write(2) over their sockets
 *
 * Listens on PATH. Tasks on standard input and answers are those of publisher.c; it writes the lines of FILE to all
 * connected clients, in blocks of at most 32 KiB, or, at a pace, the lines that are due in one block. It knows nothing of
 * its readers, keeps nothing for them, and waits for the slowest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/lib/pace.h"
#include "tests/bench/lib/wire.h"

#define BLOCK	    32768
#define READERS_MAX 4096
#define SEND_BUFFER (64 * 1024) /* as the broker's sockets have it */

static int readers[READERS_MAX];
static size_t n_readers;

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, READERS_MAX) < 0)
		die(path);
	return fd;
}

static void accept_all(int fd)
{
	int size = SEND_BUFFER, reader;

	while (n_readers < READERS_MAX && (reader = accept(fd, NULL, NULL)) >= 0) {
		(void)setsockopt(reader, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		readers[n_readers++] = reader;
	}
}

/* Those who have gone are not written to. */
static void write_all(const char *data, size_t size)
{
	for (size_t i = 0; i < n_readers; i++) {
		size_t at = 0;

		while (at < size) {
			ssize_t n = send(readers[i], data + at, size - at, MSG_NOSIGNAL);

			if (n < 0) {
				close(readers[i]);
				readers[i--] = readers[--n_readers];
				break;
			}
			at += (size_t)n;
		}
	}
}

int main(int argc, char *argv[])
{
	struct line_file file;
	struct pace pace;
	size_t next = 0;
	char line[256];
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: loop PATH FILE\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	line_file_read(&file, argv[2]);
	fd = listen_at(argv[1]);
	puts("{}");
	while (fgets(line, sizeof(line), stdin) && pace_begin(&pace, line)) {
		accept_all(fd);
		while (!pace_ends(&pace)) {
			uint64_t wait = pace_wait(&pace), due;
			const char *first = file.lines[next].data;
			size_t size = 0;

			if (wait > 0)
				usleep((useconds_t)wait);
			due = pace_due(&pace, file.n - next);
			for (; due > 0 && size + file.lines[next].len <= BLOCK; due--, pace.done++)
				size += file.lines[next++].len;
			write_all(first, size);
			if (next == file.n)
				next = 0;
		}
		printf("{\"beganUsec\":%llu,\"endUsec\":%llu}\n", (unsigned long long)pace.began_usec,
		       (unsigned long long)now_usec());
	}
	return 0;
}
