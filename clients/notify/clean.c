// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/json-text.h"
#include "clean.h"
#include "util.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define ELLIPSIS    "\xe2\x80\xa6"

static uint32_t code_point(const char *at, size_t len)
{
	uint32_t point = len == 1 ? (unsigned char)*at : (unsigned char)*at & (0x7fU >> len);

	for (size_t i = 1; i < len; i++)
		point = point << 6 | ((unsigned char)at[i] & 0x3f);
	return point;
}

/* Of characters that are none: what a terminal or a journal takes for a command, or hides what stands beside. */
static bool is_shown(uint32_t point)
{
	static const struct {
		uint32_t first, last;
	} hidden[] = {
		{ 0x00, 0x1f },	    { 0x7f, 0x9f },	{ 0x200e, 0x200f },
		{ 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfffe, 0xffff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (point >= hidden[i].first && point <= hidden[i].last)
			return false;
	return true;
}

size_t clean_text(char *buf, size_t size, const char *data, size_t len)
{
	size_t written = 0, cut = 0, took;

	for (size_t i = 0; i < len; i += took) {
		size_t sequence = utf8_sequence(data + i, len - i);
		bool shown = sequence > 0 && is_shown(code_point(data + i, sequence));
		const char *from = shown ? data + i : REPLACEMENT;
		size_t n = shown ? sequence : strlen(REPLACEMENT);

		took = sequence > 0 ? sequence : 1;
		if (written + strlen(ELLIPSIS) < size)
			cut = written;
		if (written + n >= size) {
			memcpy(buf + cut, ELLIPSIS, strlen(ELLIPSIS));
			written = cut + strlen(ELLIPSIS);
			break;
		}
		memcpy(buf + written, from, n);
		written += n;
	}
	buf[written] = '\0';
	return written;
}

char *clean_escape(char *buf, const char *text)
{
	char *at = buf;

	for (; *text != '\0'; text++) {
		switch (*text) {
		case '&':
			at = stpcpy(at, "&amp;");
			break;
		case '<':
			at = stpcpy(at, "&lt;");
			break;
		case '>':
			at = stpcpy(at, "&gt;");
			break;
		case '"':
			at = stpcpy(at, "&quot;");
			break;
		case '\'':
			at = stpcpy(at, "&#39;");
			break;
		default:
			*at++ = *text;
		}
	}
	*at = '\0';
	return buf;
}
