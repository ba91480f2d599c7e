// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "base/text-clean.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define ELLIPSIS    "\xe2\x80\xa6"

size_t utf8_sequence(const char *data, size_t len)
{
	const unsigned char *at = (const unsigned char *)data;
	unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
	size_t n;

	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	n = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (n > len)
		return 0;
	if (at[0] == 0xe0)
		low = 0xa0; /* less would be overlong */
	else if (at[0] == 0xed)
		high = 0x9f; /* more would be a surrogate */
	else if (at[0] == 0xf0)
		low = 0x90; /* less would be overlong */
	else if (at[0] == 0xf4)
		high = 0x8f; /* more would be beyond U+10FFFF */
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (at[i] < 0x80 || at[i] > 0xbf)
			return 0;
	return n;
}

size_t utf8_decode(const char *data, size_t len, uint32_t *point)
{
	size_t n = utf8_sequence(data, len);

	if (n == 0)
		return 0;
	*point = n == 1 ? (unsigned char)*data : (unsigned char)*data & (0x7fU >> n);
	for (size_t i = 1; i < n; i++)
		*point = *point << 6 | ((unsigned char)data[i] & 0x3f);
	return n;
}

bool text_is_control(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

bool text_is_hidden(uint32_t point)
{
	static const struct {
		uint32_t first, last;
	} hidden[] = {
		{ 0xad, 0xad },	    /* soft hyphen */
		{ 0x34f, 0x34f },   /* combining grapheme joiner */
		{ 0x61c, 0x61c },   /* Arabic letter mark */
		{ 0x115f, 0x1160 }, /* Hangul fillers */
		{ 0x180e, 0x180e }, /* Mongolian vowel separator */
		{ 0x200b, 0x200f }, /* zero width space and joiners, marks of direction */
		{ 0x2028,
		  0x202e }, /* separators of lines and paragraphs, embeddings and overrides of direction */
		{ 0x2060, 0x206f },   /* word joiner, isolates of direction, deprecated format characters */
		{ 0x3164, 0x3164 },   /* Hangul filler */
		{ 0xfdd0, 0xfdef },   /* noncharacters */
		{ 0xfe00, 0xfe0f },   /* variation selectors */
		{ 0xfeff, 0xfeff },   /* byte order mark */
		{ 0xffa0, 0xffa0 },   /* Hangul filler of half width */
		{ 0xfff0, 0xfffb },   /* unassigned, and marks of annotations */
		{ 0xe0000, 0xe0fff }, /* tags, more variation selectors */
	};

	if ((point & 0xfffe) == 0xfffe) /* noncharacters of every plane */
		return true;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (point >= hidden[i].first && point <= hidden[i].last)
			return true;
	return false;
}

size_t text_clean(char *buf, size_t size, const char *data, size_t len)
{
	size_t written = 0, cut = 0, took;

	for (size_t i = 0; i < len; i += took) {
		uint32_t point;
		size_t sequence = utf8_decode(data + i, len - i, &point);
		bool shown = sequence > 0 && !text_is_control(point) && !text_is_hidden(point);
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
