/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes of anybody's, as text that a D-Bus message, a notification server and a journal take: names of processes and of
 * their files may be any bytes.
 */

#include <stddef.h>

/*
 * clean_text() - valid UTF-8 without control characters
 * What is no UTF-8, a control character, a separator of lines, or turns the direction of writing becomes U+FFFD. What has no
 * room is cut off, which an ellipsis shows.
 * @buf: of @size bytes, at least 8; terminated
 * Return: the length of what was written.
 */
size_t clean_text(char *buf, size_t size, const char *data, size_t len);

/*
 * clean_escape() - valid UTF-8 as the text of markup: & < > " ' are written as entities
 * @buf: room for CLEAN_ESCAPE_FACTOR * strlen(@text) + 1 bytes
 */
char *clean_escape(char *buf, const char *text);

#define CLEAN_ESCAPE_FACTOR 6
