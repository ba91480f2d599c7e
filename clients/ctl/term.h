/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The capabilities of the output, and escaping of untrusted text. Users choose the names and paths of their processes: a
 * terminal must not interpret any of it as a control sequence.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct term {
	bool tty;
	bool colour;
	bool utf8;	    /* the locale uses UTF-8; if not, all characters except ASCII are escaped */
	unsigned int width; /* columns; 0: no limit */
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

/* term_init() - read the capabilities from a descriptor, the locale, $NO_COLOR, $TERM and $COLUMNS */
void term_init(struct term *term, int fd);
/* term_resize() - read the width again, after SIGWINCH */
void term_resize(struct term *term, int fd);

/* The sequence that begins a colour, "" without colours. TERM_PLAIN resets all. */
const char *term_colour(const struct term *term, enum term_colour colour);

/*
 * term_escape() - write untrusted text
 * Control characters, characters that change the direction or are invisible, and bytes that are not UTF-8
 * become \xNN for each byte; a backslash is doubled, so that the original can be recovered.
 */
void term_escape(const struct term *term, FILE *file, const char *text, size_t len);

/* term_columns() - the width of text that term_escape() wrote */
unsigned int term_columns(const struct term *term, const char *text, size_t len);

/* term_fit() - the number of bytes from the beginning of such text that fit into @columns */
size_t term_fit(const struct term *term, const char *text, size_t len, unsigned int columns);

/* The character that marks a cut, one column wide. */
const char *term_ellipsis(const struct term *term);

enum term_align { TERM_LEFT, TERM_RIGHT };

/*
 * term_put_cell() - write such text as a cell of a table, and a space after it
 * Text that is too wide is cut on a terminal, and shifts the following cells elsewhere.
 */
void term_put_cell(const struct term *term, FILE *file, const char *text, size_t len, unsigned int width,
		   enum term_align align);

/*
 * term_escape_json() - write JSON, with \uNNNN for all characters that term_escape() would escape
 * The JSON value does not change, except that bytes that are not UTF-8, which JSON does not allow, become U+FFFD.
 */
void term_escape_json(FILE *file, const char *json, size_t len);
