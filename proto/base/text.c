// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

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

void text_mend(char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		size_t n = utf8_sequence(text, left);

		if (n == 0) {
			*text = '?';
			n = 1;
		}
		text += n;
		left -= n;
	}
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
		{ 0xad, 0xad },	      /* soft hyphen */
		{ 0x34f, 0x34f },     /* combining grapheme joiner */
		{ 0x61c, 0x61c },     /* Arabic letter mark */
		{ 0x115f, 0x1160 },   /* Hangul fillers */
		{ 0x180e, 0x180e },   /* Mongolian vowel separator */
		{ 0x200b, 0x200f },   /* zero width space and joiners, marks of direction */
		{ 0x2028, 0x202e },   /* separators of lines and paragraphs, overrides of direction */
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
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
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

/* Sixteen bytes, checked together by vector instructions where the machine has them. */
typedef signed char block_t __attribute__((vector_size(16)));

/*
 * Each byte: 0 for an ASCII character that is no control character, quote or backslash. Bytes that are not ASCII are negative
 * here.
 */
static inline block_t block_specials(block_t block)
{
	return (block < 0x20) | (block == '"') | (block == '\\');
}

static inline bool block_is_zero(block_t block)
{
	uint64_t words[2];

	memcpy(words, &block, sizeof(words));
	return (words[0] | words[1]) == 0;
}

static inline bool byte_is_special(char byte)
{
	unsigned char c = (unsigned char)byte;

	return c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
}

/* How many bytes at the beginning are plain: ASCII that needs no escape. */
static inline size_t plain_length(const char *data, size_t len)
{
	block_t block;
	size_t n = 0;

	for (; len - n >= sizeof(block); n += sizeof(block)) {
		memcpy(&block, data + n, sizeof(block));
		if (!block_is_zero(block_specials(block)))
			break;
	}
	while (n < len && !byte_is_special(data[n]))
		n++;
	return n;
}

/* Copy a block. Return: block_specials() of it. */
static inline block_t block_copy(char *at, const char *data)
{
	block_t block;

	memcpy(&block, data, sizeof(block));
	memcpy(at, &block, sizeof(block));
	return block_specials(block);
}

/* The same of eight to sixteen bytes, by two halves that may overlap. */
static inline block_t halves_copy(char *at, const char *data, size_t len)
{
	uint64_t halves[2];
	block_t block;

	memcpy(&halves[0], data, sizeof(halves[0]));
	memcpy(&halves[1], data + len - sizeof(halves[1]), sizeof(halves[1]));
	memcpy(at, &halves[0], sizeof(halves[0]));
	memcpy(at + len - sizeof(halves[1]), &halves[1], sizeof(halves[1]));
	memcpy(&block, halves, sizeof(block));
	return block_specials(block);
}

/* And of four to eight. */
static inline block_t quarters_copy(char *at, const char *data, size_t len)
{
	uint32_t first, last;
	block_t block;

	memcpy(&first, data, sizeof(first));
	memcpy(&last, data + len - sizeof(last), sizeof(last));
	memcpy(at, &first, sizeof(first));
	memcpy(at + len - sizeof(last), &last, sizeof(last));
	memcpy(&block, (uint32_t[]){ first, last, first, last }, sizeof(block));
	return block_specials(block);
}

bool json_text_copy(char *at, const char *data, size_t len)
{
	const size_t size = sizeof(block_t);
	block_t specials = {};

	if (len >= size) {
		for (size_t n = 0; n < len - size; n += size)
			specials |= block_copy(at + n, data + n);
		return block_is_zero(specials | block_copy(at + len - size, data + len - size));
	}
	if (len >= size / 2)
		return block_is_zero(halves_copy(at, data, len));
	if (len >= size / 4)
		return block_is_zero(quarters_copy(at, data, len));
	for (size_t n = 0; n < len; n++) {
		if (byte_is_special(data[n]))
			return false;
		at[n] = data[n];
	}
	return true;
}

/* The escape of a control character, quote or backslash. */
static char *escape_write(char *at, char byte)
{
	static const char digits[] = "0123456789abcdef";
	char letter = 0;

	switch (byte) {
	case '"':
	case '\\':
		letter = byte;
		break;
	case '\b':
		letter = 'b';
		break;
	case '\f':
		letter = 'f';
		break;
	case '\n':
		letter = 'n';
		break;
	case '\r':
		letter = 'r';
		break;
	case '\t':
		letter = 't';
		break;
	}
	*at++ = '\\';
	if (letter) {
		*at++ = letter;
		return at;
	}
	memcpy(at, "u00", 3);
	at[3] = digits[(unsigned char)byte >> 4];
	at[4] = digits[byte & 0xf];
	return at + 5;
}

/* A valid sequence of two or more bytes. */
static char *sequence_write(char *at, const char *data, size_t len)
{
	const char *escape = NULL;

	if (len == 2 && memcmp(data, "\xc2\x85", 2) == 0)
		escape = "\\u0085";
	else if (len == 3 && memcmp(data, "\xe2\x80\xa8", 3) == 0)
		escape = "\\u2028";
	else if (len == 3 && memcmp(data, "\xe2\x80\xa9", 3) == 0)
		escape = "\\u2029";
	memcpy(at, escape ? escape : data, escape ? 6 : len);
	return at + (escape ? 6 : len);
}

char *json_text_write(char *at, const char *data, size_t len, bool *broken)
{
	if (json_text_copy(at, data, len))
		return at + len;
	while (len > 0) {
		size_t n = plain_length(data, len);

		if (n > 0) {
			memcpy(at, data, n);
			at += n;
		} else if ((n = utf8_sequence(data, len)) > 1) {
			at = sequence_write(at, data, n);
		} else if (n == 1) {
			at = escape_write(at, *data);
		} else {
			memcpy(at, "\\ufffd", 6);
			at += 6;
			*broken = true;
			n = 1;
		}
		data += n;
		len -= n;
	}
	return at;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_write(char *at, const char *data, size_t len)
{
	for (; len > 0; at += 4) {
		size_t n = len < 3 ? len : 3;
		uint32_t bits = 0;

		for (size_t i = 0; i < 3; i++)
			bits = bits << 8 | (i < n ? (unsigned char)data[i] : 0);
		at[0] = base64_digits[bits >> 18];
		at[1] = base64_digits[bits >> 12 & 63];
		at[2] = n > 1 ? base64_digits[bits >> 6 & 63] : '=';
		at[3] = n > 2 ? base64_digits[bits & 63] : '=';
		data += n;
		len -= n;
	}
	return at;
}

/* The value of a digit, or -1. */
static int base64_value(char digit)
{
	const char *found = digit == '\0' ? NULL : strchr(base64_digits, digit);

	return found ? (int)(found - base64_digits) : -1;
}

ssize_t base64_read(char *data, size_t max, const char *text, size_t len)
{
	size_t padding, size;

	if (len % 4 != 0)
		return -1;
	padding = len == 0 || text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
	size = len / 4 * 3 - padding;
	if (size > max)
		return -1;
	for (size_t i = 0, done = 0; i < len; i += 4) {
		size_t digits = i + 4 == len ? 4 - padding : 4;
		uint32_t bits = 0;

		for (size_t j = 0; j < 4; j++) {
			int value = j < digits ? base64_value(text[i + j]) : 0;

			if (value < 0)
				return -1;
			bits = bits << 6 | (uint32_t)value;
		}
		for (size_t j = 0; j < 3; j++, bits <<= 8) {
			if (done < size)
				data[done++] = (char)(bits >> 16);
			else if (bits >> 16 & 0xff)
				return -1;
		}
	}
	return (ssize_t)size;
}
