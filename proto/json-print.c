// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "json-print.h"

/* Longest that a separator of lines becomes: \u2028 */
#define ESCAPE_SIZE 6

/* A json_put() has failed since the last json_print(). The model saves the shared library a dependency, on the loader. */
static _Thread_local bool incomplete __attribute__((tls_model("initial-exec")));

void json_put(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) < 0)
		incomplete = true;
}

void json_put_text(json_t *object, const char *key, const char *text)
{
	_cleanup_free_ char *mended = strdup(text);

	if (mended)
		text_mend(mended);
	json_put(object, key, mended ? json_string(mended) : NULL);
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
	size_t size = incomplete ? 0 : json_dumpb(value, NULL, 0, flags);
	char *text = size > 0 ? malloc(size + 1) : NULL;

	incomplete = false;
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
