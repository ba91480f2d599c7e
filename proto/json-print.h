/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * JSON texts, complete or none: without memory jansson leaves out what did not fit, and goes on.
 */

#include <jansson.h>

/*
 * json_put() - set a member of an object; takes @value
 * For objects with many members: a failure needs no check, the next json_print() of this thread fails.
 */
void json_put(json_t *object, const char *key, json_t *value);

/* The same for a text, whose bytes that are not UTF-8 become '?' */
void json_put_text(json_t *object, const char *key, const char *text);

/*
 * json_print() - the text of a value
 * Characters that many readers of lines take for the end of one are escaped, as in events (json_text_write()).
 * @flags: as for json_dumps()
 * @size: may be NULL; set to the length without the NUL
 * Return: to be freed; NULL without memory, or if a json_put() has failed.
 */
char *json_print(const json_t *value, size_t flags, size_t *size);
