/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * JSON texts, complete or none: without memory jansson leaves out what did not fit, and goes on.
 */

#include <jansson.h>
#include <stdbool.h>

/* An object with many members. A failure needs no check before json_built(). */
struct json_builder {
	json_t *object;
	bool incomplete;
};

/* json_build() - begin with an object, which is taken; NULL: there is no memory */
static inline struct json_builder json_build(json_t *object)
{
	return (struct json_builder){ object, !object };
}

/* json_put() - set a member; takes @value, NULL without memory */
void json_put(struct json_builder *builder, const char *key, json_t *value);

/* The same for a text, whose bytes that are not UTF-8 become '?' */
void json_put_text(struct json_builder *builder, const char *key, const char *text);

/* json_built() - Return: the object, or NULL if something failed. Always ends the building. */
json_t *json_built(struct json_builder *builder);

/*
 * json_print() - the text of a value
 * Characters that many readers of lines take for the end of one are escaped, as in events (json_text_write()).
 * @flags: as for json_dumps()
 * @size: may be NULL; set to the length without the NUL
 * Return: to be freed; NULL without memory.
 */
char *json_print(const json_t *value, size_t flags, size_t *size);
