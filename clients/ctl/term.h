/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the output may look like, and how text from elsewhere becomes fit to print. Names of processes and
 * paths are chosen by the users who run them: a terminal must not take any of it for a command.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct term {
	bool tty;
	bool colour;
	bool utf8;	    /* the locale's characters; all else than ASCII is escaped without */
	unsigned int width; /* columns; 0 where there is no limit */
};

enum term_colour {
	TERM_PLAIN,
	TERM_DIM,
	TERM_BOLD,
	TERM_GREEN,
	TERM_CYAN,
	TERM_YELLOW,
	TERM_RED,
	TERM_MAGENTA,
	TERM_ALARM, /* bold red */
	_TERM_COLOUR_MAX,
};

/* term_init() - look at a descriptor, the locale, and $NO_COLOR, $TERM, $COLUMNS */
void term_init(struct term *term, int fd);
/* term_resize() - ask the width again, after SIGWINCH */
void term_resize(struct term *term, int fd);

/* The sequence that begins a colour, "" where there are none. TERM_PLAIN ends all. */
const char *term_colour(const struct term *term, enum term_colour colour);

/*
 * term_escape() - write text from elsewhere
 * Control characters, characters that change the direction or are invisible, and bytes that are not UTF-8
 * become \xNN, a byte each; a backslash is doubled, so that the original can be recovered.
 */
void term_escape(const struct term *term, FILE *file, const char *text, size_t len);

/* term_columns() - how wide is text that term_escape() wrote? */
unsigned int term_columns(const struct term *term, const char *text, size_t len);

/* term_fit() - how many bytes of such text, from its beginning, fit into so many columns? */
size_t term_fit(const struct term *term, const char *text, size_t len, unsigned int columns);

/* The character that stands for what was cut off, one column wide. */
const char *term_ellipsis(const struct term *term);

enum term_align { TERM_LEFT, TERM_RIGHT };

/*
 * term_put_cell() - write such text as a cell of a table, and a space after it
 * On a terminal it is cut to its width, elsewhere it pushes the rest away.
 */
void term_put_cell(const struct term *term, FILE *file, const char *text, size_t len, unsigned int width,
		   enum term_align align);

/*
 * term_escape_json() - write JSON in which all that term_escape() would escape is \uNNNN
 * The same value for every reader. Bytes that are not UTF-8, which JSON cannot have, become U+FFFD.
 */
void term_escape_json(FILE *file, const char *json, size_t len);
