// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "json-print.h"

/* Longest that a separator of lines becomes: \u2028 */
#define ESCAPE_SIZE 6

void json_put(struct json_builder *builder, const char *key, json_t *value)
{
	if (json_object_set_new(builder->object, key, value) < 0)
		builder->incomplete = true;
}

json_t *json_built(struct json_builder *builder)
{
	json_t *object = builder->object;

	builder->object = NULL;
	if (!builder->incomplete)
		return object;
	json_decref(object);
	return NULL;
}

void json_put_text(struct json_builder *builder, const char *key, const char *text)
{
	_cleanup_free_ char *mended = strdup(text);

	if (mended)
		text_mend(mended);
	json_put(builder, key, mended ? json_string(mended) : NULL);
}

/* Return: the length of the separator of lines that the text begins with, 0: there is none. */
static size_t separator_length(const char *text)
{
	if (text[0] == '\xc2')
		return text[1] == '\x85' ? 2 : 0;
	return text[0] == '\xe2' && text[1] == '\x80' && (text[2] == '\xa8' || text[2] == '\xa9') ? 3 : 0;
}

static size_t separators_count(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += separator_length(text) > 0;
	return n;
}

static char *separators_escape(const char *text, size_t *size)
{
	char *escaped = malloc(*size + ESCAPE_SIZE * separators_count(text) + 1), *at = escaped;
	bool broken = false;

	if (!escaped)
		return NULL;
	while (*text != '\0') {
		size_t len = separator_length(text);

		if (len > 0)
			at = json_text_write(at, text, len, &broken);
		else
			*at++ = *text;
		text += len > 0 ? len : 1;
	}
	*at = '\0';
	*size = (size_t)(at - escaped);
	return escaped;
}

char *json_print(const json_t *value, size_t flags, size_t *ret_size)
{
	/* Measured first: if its buffer cannot grow, json_dumps() leaves out a key and continues (jansson 2.14). */
	size_t size = value ? json_dumpb(value, NULL, 0, flags) : 0;
	char *text = size > 0 ? malloc(size + 1) : NULL;

	if (text && json_dumpb(value, text, size, flags) != size)
		size = 0;
	if (text && size > 0) {
		text[size] = '\0';
		if (separators_count(text) > 0) {
			char *escaped = separators_escape(text, &size);

			free(text);
			text = escaped;
		}
	} else {
		free(text);
		text = NULL;
	}
	if (text && ret_size)
		*ret_size = size;
	return text;
}
