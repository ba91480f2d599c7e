// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/lines.h"

int lines_open(struct lines *lines, const char *path, size_t size)
{
	struct stat st;

	*lines = (struct lines){ .fd = -1, .size = size };
	lines->buffer = malloc(size);
	if (!lines->buffer)
		return -ENOMEM;
	lines->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (lines->fd < 0 || fstat(lines->fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	lines->unwritten = S_ISFIFO(st.st_mode);
	return 0;
}

void lines_close(struct lines *lines)
{
	lines->fd = close_fd(lines->fd);
	free(steal(lines->buffer));
}

/* Return: 0, LINES_E_END, LINES_E_LATER, LINES_E_AGAIN, or a negative errno. */
static int lines_fill(struct lines *lines)
{
	ssize_t n;

	memmove(lines->buffer, lines->buffer + lines->at, lines->end - lines->at);
	lines->end -= lines->at;
	lines->at = 0;
	if (lines->end == lines->size) {
		lines->skipping = true;
		lines->end = lines->searched = 0;
		return LINES_E_AGAIN;
	}
	lines->searched = lines->end;
	do
		n = read(lines->fd, lines->buffer + lines->end, lines->size - lines->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? LINES_E_LATER : -errno;
	/* Before its first writer a FIFO reads as if it were at its end. */
	if (n == 0 && lines->unwritten) {
		lines->unwritten = false;
		return LINES_E_LATER;
	}
	lines->unwritten = false;
	lines->end += (size_t)n;
	return n == 0 ? LINES_E_END : 0;
}

/* Hands out the next @len bytes, unless they are the rest of something longer. */
static int lines_take(struct lines *lines, size_t len, const char **ret_line, size_t *ret_len)
{
	*ret_line = lines->buffer + lines->at;
	*ret_len = len;
	lines->at += len;
	lines->searched = lines->at;
	if (!lines->skipping)
		return 0;
	lines->skipping = false;
	return LINES_E_TOO_LONG;
}

int lines_next(struct lines *lines, const char **line, size_t *len)
{
	const char *newline;
	int r;

	for (;;) {
		newline = memchr(lines->buffer + lines->searched, '\n', lines->end - lines->searched);
		if (newline)
			return lines_take(lines, (size_t)(newline + 1 - lines->buffer) - lines->at, line,
					  len);
		r = lines_fill(lines);
		/* The last line may lack its newline. */
		if (r == LINES_E_END && (lines->end > lines->at || lines->skipping))
			return lines_take(lines, lines->end - lines->at, line, len);
		if (r != 0)
			return r;
	}
}
