// SPDX-License-Identifier: LGPL-2.1-or-later
#include <langinfo.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/text.h"
#include "term.h"

static bool env_is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value != '\0';
}

void term_resize(struct term *term, int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (!term->tty)
		term->width = 0;
	else if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		term->width = size.ws_col;
	else
		term->width = columns && atoi(columns) > 0 ? (unsigned int)atoi(columns) : 80;
}

void term_init(struct term *term, int fd)
{
	const char *kind = getenv("TERM");

	term->tty = isatty(fd);
	term->colour =
		term->tty && !env_is_set("NO_COLOR") && env_is_set("TERM") && strcmp(kind, "dumb") != 0;
	term->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	term_resize(term, fd);
}

const char *term_colour(const struct term *term, enum term_colour colour)
{
	static const char *const sequences[_TERM_COLOUR_MAX] = {
		[TERM_PLAIN] = "\033[0m",  [TERM_DIM] = "\033[2m",	[TERM_BOLD] = "\033[1m",
		[TERM_GREEN] = "\033[32m", [TERM_CYAN] = "\033[36m",	[TERM_YELLOW] = "\033[33m",
		[TERM_RED] = "\033[31m",   [TERM_MAGENTA] = "\033[35m", [TERM_ALARM] = "\033[1;31m",
	};

	return term->colour ? sequences[colour] : "";
}

const char *term_ellipsis(const struct term *term)
{
	return term->utf8 ? "…" : "~";
}

void term_escape(const struct term *term, FILE *file, const char *text, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		uint32_t c = 0;
		bool plain;

		n = utf8_decode(text + at, len - at, &c);
		if (n == 1)
			plain = !text_is_control(c);
		else
			plain = n > 0 && term->utf8 && !text_is_hidden(c) && wcwidth((wchar_t)c) >= 0;
		if (n == 0)
			n = 1;

		if (c == '\\')
			fputs("\\\\", file);
		else if (plain)
			fwrite(text + at, 1, n, file);
		else
			for (size_t i = 0; i < n; i++)
				fprintf(file, "\\x%02x", (unsigned char)text[at + i]);
	}
}

static unsigned int character_columns(const struct term *term, uint32_t c)
{
	int columns = c < 0x80 ? 1 : term->utf8 ? wcwidth((wchar_t)c) : 1;

	return columns < 0 ? 0 : (unsigned int)columns;
}

unsigned int term_columns(const struct term *term, const char *text, size_t len)
{
	unsigned int columns = 0;

	for (size_t at = 0, n; at < len; at += n) {
		uint32_t c = '?';

		n = utf8_decode(text + at, len - at, &c);
		if (n == 0)
			n = 1;
		columns += character_columns(term, c);
	}
	return columns;
}

size_t term_fit(const struct term *term, const char *text, size_t len, unsigned int columns)
{
	size_t at = 0;

	while (at < len) {
		uint32_t c = '?';
		size_t n = utf8_decode(text + at, len - at, &c);
		unsigned int width = character_columns(term, c);

		if (width > columns)
			break;
		columns -= width;
		at += n > 0 ? n : 1;
	}
	return at;
}

void term_put_cell(const struct term *term, FILE *file, const char *text, size_t len, unsigned int width,
		   enum term_align align)
{
	unsigned int columns = term_columns(term, text, len);
	const char *cut = "";
	int pad;

	if (columns > width && term->width > 0) {
		len = term_fit(term, text, len, width - 1);
		columns = term_columns(term, text, len) + 1;
		cut = term_ellipsis(term);
	}
	pad = columns < width ? (int)(width - columns) : 0;
	fprintf(file, "%*s%.*s%s%*s ", align == TERM_RIGHT ? pad : 0, "", (int)len, text, cut,
		align == TERM_LEFT ? pad : 0, "");
}

static void put_json_unit(FILE *file, uint32_t c)
{
	if (c >= 0x10000)
		fprintf(file, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
			0xdc00 + ((c - 0x10000) & 0x3ff));
	else
		fprintf(file, "\\u%04x", c);
}

void term_escape_json(FILE *file, const char *json, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		uint32_t c = 0xfffd;

		n = utf8_decode(json + at, len - at, &c);
		if (n == 0) {
			put_json_unit(file, c);
			n = 1;
		} else if ((text_is_control(c) && c != '\n' && c != '\t') || text_is_hidden(c)) {
			put_json_unit(file, c);
		} else {
			fwrite(json + at, 1, n, file);
		}
	}
}
