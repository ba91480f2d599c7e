// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "globs.h"
#include "util.h"

static int add_word(struct globs *globs, const char *word, size_t len, const char **why)
{
	_cleanup_free_ char *text = strndup(word, len);
	struct pattern **grown;
	int r;

	if (globs->n == CONF_GLOBS_MAX) {
		*why = "there are too many globs in this list";
		return CONF_E_INVALID;
	}
	grown = reallocarray(globs->patterns, globs->n + 1, sizeof(struct pattern *));
	if (!grown)
		return -ENOMEM;
	globs->patterns = grown;
	r = text ? pattern_new(&globs->patterns[globs->n], text, why) : -ENOMEM;
	if (r < 0)
		return r;
	if (r > 0)
		return CONF_E_INVALID;
	globs->n++;
	return 0;
}

int globs_add(struct globs *globs, const char *text, const char **why)
{
	const char *word = text + strspn(text, " \t");
	size_t len;
	int r = 0;

	if (*word == '\0')
		globs_done(globs);
	for (; r == 0 && *word != '\0'; word += len, word += strspn(word, " \t")) {
		len = strcspn(word, " \t");
		r = add_word(globs, word, len, why);
	}
	return r;
}

void globs_done(struct globs *globs)
{
	for (size_t i = 0; i < globs->n; i++)
		pattern_free(globs->patterns[i]);
	free(globs->patterns);
	*globs = (struct globs){};
}

bool globs_match(const struct globs *globs, const char *data, size_t len)
{
	for (size_t i = 0; i < globs->n; i++)
		if (pattern_match(globs->patterns[i], data, len))
			return true;
	return false;
}
