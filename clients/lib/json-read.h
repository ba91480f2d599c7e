/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * JSON as libforkbus reads it. jansson drops bytes of a string, or digits of a number, where it had no memory to make its
 * buffer for them larger, and reports no error. So what it read is measured against the text.
 */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/*
 * json_read() - read one object
 * @ret: the caller's
 * Return: 0; -EBADMSG where the text is not one JSON object, or has a key twice; -ENOMEM.
 */
int json_read(json_t **ret, const char *text, size_t len);

/* json_is_whole() - are all bytes of a text's strings and integers in the value that was read from it? @text: valid JSON */
bool json_is_whole(json_t *value, const char *text, size_t len);
