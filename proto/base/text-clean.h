/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * UTF-8, and text from anybody made safe to show: names of processes and of their files may be any bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * utf8_sequence() - the valid UTF-8 sequence that @data begins with
 * Overlong forms, surrogates and what lies beyond U+10FFFF are not valid. @len is not 0.
 * Return: its length in bytes, 0 if there is none.
 */
size_t utf8_sequence(const char *data, size_t len);

/* utf8_decode() - the same, and the code point. @point is set unless 0 is returned. */
size_t utf8_decode(const char *data, size_t len, uint32_t *point);

/* Control characters: a terminal takes them for commands, U+0085 also for the end of a line. */
bool text_is_control(uint32_t point);

/*
 * text_is_hidden() - a character that has no look of its own
 * It may hide or reorder its neighbours, or end the line: bidirectional marks, separators of lines and paragraphs,
 * joiners, fillers, variation selectors, tags; and what is no character in Unicode.
 */
bool text_is_hidden(uint32_t point);

/*
 * text_clean() - valid UTF-8 with nothing in it that is a control character or hidden
 * What is not UTF-8 or not to be shown becomes U+FFFD. What has no room is cut off, which an ellipsis shows.
 * @buf: of @size bytes, at least 8; terminated
 * Return: the length of what was written.
 */
size_t text_clean(char *buf, size_t size, const char *data, size_t len);
