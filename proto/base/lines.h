/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The lines of a file of any size, one after the other, without waiting: for files, pipes and FIFOs.
 */

#include <stdbool.h>
#include <stddef.h>

struct lines {
	int fd;
	bool unwritten; /* a FIFO that nobody has written to yet */
	/* [at, end) of the buffer was read and not returned yet; up to @searched no line ends. */
	char *buffer;
	size_t size, at, end, searched;
	bool skipping; /* the rest of a line that is too long */
};

enum {
	_LINES_E_SUCCESS,
	LINES_E_END,	  /* of the file */
	LINES_E_LATER,	  /* nothing for now: wait until the descriptor is readable */
	LINES_E_TOO_LONG, /* a longer line was skipped */
	LINES_E_AGAIN,	  /* a longer line goes on: call it again, after other work */
};

/*
 * lines_open() - open a file to read lines of less than @size bytes and their newline
 * Return: 0 or a negative errno; call lines_close() in either case.
 */
int lines_open(struct lines *lines, const char *path, size_t size);
void lines_close(struct lines *lines);

/*
 * lines_next() - the next line, with its newline if it has one
 * @line: valid until the next call, not terminated
 * Reads at most @size bytes, so that a line that never ends keeps nobody.
 * Return: 0, LINES_E_END, LINES_E_LATER, LINES_E_TOO_LONG, LINES_E_AGAIN, or a negative errno.
 */
int lines_next(struct lines *lines, const char **line, size_t *len);
