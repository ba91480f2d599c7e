// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "json-read.h"

static unsigned int hex4(const char *at)
{
	unsigned int value = 0;

	for (int i = 0; i < 4; i++) {
		unsigned int c = (unsigned char)at[i];

		value = value << 4 | (c <= '9' ? c & 15 : ((c & 7) + 9) & 15);
	}
	return value;
}

/* Bytes that an escape stands for, and, in @at, its end. A pair of surrogates is 4 bytes: 2 and 2. */
static size_t escape_measure(const char **at, const char *end)
{
	unsigned int code;

	if (**at != 'u' || end - *at < 5) {
		(*at)++;
		return 1;
	}
	code = hex4(*at + 1);
	*at += 5;
	if (code >= 0xd800 && code < 0xe000)
		return 2;
	return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

/* Bytes of a string, from behind its quote; @at: behind the other one. */
static size_t string_measure(const char **at, const char *end)
{
	size_t size = 0;

	while (*at < end && **at != '"') {
		if (*(*at)++ != '\\')
			size++;
		else if (*at < end)
			size += escape_measure(at, end);
	}
	if (*at < end)
		(*at)++;
	return size;
}

/* Characters of an integer, 0 of another number. */
static size_t number_measure(const char **at, const char *end)
{
	const char *begin = *at;
	bool is_integer = true;

	for (; *at < end && memchr("+-.0123456789Ee", **at, 15); (*at)++)
		is_integer = is_integer && **at != '.' && (**at | 0x20) != 'e';
	return is_integer ? (size_t)(*at - begin) : 0;
}

static size_t text_measure(const char *at, const char *end)
{
	size_t size = 0;

	while (at < end) {
		if (*at == '"') {
			at++;
			size += string_measure(&at, end);
		} else if (*at == '-' || (*at >= '0' && *at <= '9')) {
			size += number_measure(&at, end);
		} else {
			at++;
		}
	}
	return size;
}

static size_t integer_length(json_int_t integer)
{
	size_t length = integer < 0 ? 2 : 1;

	while (integer /= 10)
		length++;
	return length;
}

static size_t value_measure(json_t *value)
{
	size_t size = 0, i;
	const char *key;
	json_t *member;

	if (json_is_string(value))
		return json_string_length(value);
	if (json_is_integer(value))
		return integer_length(json_integer_value(value));
	json_object_foreach(value, key, member)
		size += strlen(key) + value_measure(member);
	json_array_foreach(value, i, member)
		size += value_measure(member);
	return size;
}

bool json_is_whole(json_t *value, const char *text, size_t len)
{
	return value_measure(value) == text_measure(text, text + len);
}

static int read_once(json_t **ret, const char *text, size_t len)
{
	json_error_t error;
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	/* Without memory, the parser fails in silence. */
	if (!object && (error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory))
		return -ENOMEM;
	if (!json_is_object(object) || !json_is_whole(object, text, len)) {
		json_decref(object);
		return -EBADMSG;
	}
	*ret = object;
	return 0;
}

int json_read(json_t **ret, const char *text, size_t len)
{
	int r = read_once(ret, text, len);

	/* A string that the parser had no memory for is an invalid token to it, or cut. What is wrong is wrong twice. */
	return r == -EBADMSG ? read_once(ret, text, len) : r;
}
