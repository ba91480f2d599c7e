/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names of processes and of files may be any bytes, chosen by any user. This checks whether they are UTF-8, makes them safe to
 * show, and writes them as JSON. Nothing here allocates.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * utf8_sequence() - the valid UTF-8 sequence that @data begins with
 * Overlong forms, surrogates and what lies beyond U+10FFFF are not valid. @len is not 0.
 * Return: its length in bytes, 0 if there is none.
 */
size_t utf8_sequence(const char *data, size_t len);

/* utf8_decode() - the same, and the code point. @point is set unless 0 is returned. */
size_t utf8_decode(const char *data, size_t len, uint32_t *point);

/* text_mend() - make valid UTF-8 of a text that was cut, or that another program sent: each wrong byte becomes '?' */
void text_mend(char *text);

/* Control characters: a terminal takes them for commands, U+0085 also for the end of a line. */
bool text_is_control(uint32_t point);

/*
 * text_is_hidden() - a character that is not visible by itself
 * It may hide or reorder its neighbours, or end the line: bidirectional marks, separators of lines and paragraphs,
 * joiners, fillers, variation selectors, tags; and what is no character in Unicode.
 */
bool text_is_hidden(uint32_t point);

/*
 * text_clean() - valid UTF-8 with nothing in it that is a control character or hidden
 * Bytes that are not UTF-8 and characters that are not shown become U+FFFD. Text that does not fit is cut, and ends with an
 * ellipsis.
 * @buf: of @size bytes, at least 8; terminated
 * Return: the length of what was written.
 */
size_t text_clean(char *buf, size_t size, const char *data, size_t len);

/* Longest that a byte becomes in json_text_write(). */
#define JSON_TEXT_FACTOR 6

/*
 * json_text_write() - the inside of a JSON string, without its quotes
 * Control characters, quotes and backslashes are escaped, and U+0085, U+2028 and U+2029, which many readers of lines take
 * for the end of one. All other valid UTF-8 stays as it is; each byte that is part of no valid sequence becomes \ufffd.
 * @at: room for JSON_TEXT_FACTOR * @len bytes; what is written does not end with a NUL
 * @broken: set to true where a byte was replaced, else left alone
 * Return: the end of what was written.
 */
char *json_text_write(char *at, const char *data, size_t len, bool *broken);

/*
 * json_text_copy() - the same for a text of ASCII characters that need no escape, as nearly all texts are
 * @at: room for @len bytes
 * Return: whether it is one. If not, ignore what was written.
 */
bool json_text_copy(char *at, const char *data, size_t len);

/* Bytes that base64_write() makes of @_len. */
#define BASE64_LENGTH(_len) (4 * (((_len) + 2) / 3))

/* base64_write() - in the standard alphabet, padded, without a NUL. Return: the end of what was written. */
char *base64_write(char *at, const char *data, size_t len);

/*
 * base64_read() - the inverse
 * Takes exactly what base64_write() makes, padding and unused bits included.
 * Return: how many bytes went to @data, or -1 where it is no base64 or would be more than @max of them.
 */
ssize_t base64_read(char *data, size_t max, const char *text, size_t len);
