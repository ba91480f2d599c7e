/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes as JSON text: UTF-8, escapes, base64. Nothing here allocates or ends what it writes with a NUL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/text-clean.h"

/* Longest that a byte becomes in json_text_write(). */
#define JSON_TEXT_FACTOR 6

/*
 * json_text_write() - the inside of a JSON string, without its quotes
 * Control characters, quotes and backslashes are escaped, and U+0085, U+2028 and U+2029, which many readers of lines take
 * for the end of one. All other valid UTF-8 stays as it is; each byte that is part of no valid sequence becomes \ufffd.
 * @at: room for JSON_TEXT_FACTOR * @len bytes
 * @broken: set to true where a byte was replaced, else left alone
 * Return: the end of what was written.
 */
char *json_text_write(char *at, const char *data, size_t len, bool *broken);

/*
 * json_text_copy() - the same of a text that is ASCII and has nothing to be escaped, as nearly all have not
 * @at: room for @len bytes
 * Return: is it one? If not, what was written does not count.
 */
bool json_text_copy(char *at, const char *data, size_t len);

/* Bytes that base64_write() makes of @_len. */
#define BASE64_LENGTH(_len) (4 * (((_len) + 2) / 3))

/* base64_write() - in the standard alphabet, padded. Return: the end of what was written. */
char *base64_write(char *at, const char *data, size_t len);

/*
 * base64_read() - the way back
 * Takes exactly what base64_write() makes, padding and unused bits included.
 * Return: how many bytes went to @data, or -1 where it is no base64 or would be more than @max of them.
 */
ssize_t base64_read(char *data, size_t max, const char *text, size_t len);
