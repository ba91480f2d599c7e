// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "pattern.h"

#define STRING_OF(_token) #_token
#define STRING(_macro)	  STRING_OF(_macro)

#define WORD_BITS 64
#define CLASSES	  256 /* at most one for each byte */
#define WORDS_MAX (PATTERN_MAX / WORD_BITS + 1)

/*
 * State i: the first i elements of the pattern have matched; an element is all that takes one byte. A byte
 * leads from i to i + 1 where element i takes it, and from i to i where a star stands before element i. The
 * text matches if the last state is among those that are reached.
 *
 * Bytes that all elements treat alike are one class; a class has a column: bit i set where element i takes
 * it.
 */
struct pattern {
	char *text;
	size_t len;
	size_t n_words;	   /* of a set of states; 0: no wildcards, the text is the value */
	size_t last;	   /* state */
	uint64_t *stars;   /* states with a star */
	uint64_t *columns; /* n_words each */
	size_t n_classes;  /* and columns */
	uint8_t class[];   /* 256; where there are no wildcards, not there */
};

/* Bytes, as a set. */
struct bytes {
	uint64_t words[4];
};

static inline void bytes_add(struct bytes *bytes, unsigned char byte)
{
	bytes->words[byte / WORD_BITS] |= UINT64_C(1) << byte % WORD_BITS;
}

static void bytes_invert(struct bytes *bytes)
{
	for (size_t i = 0; i < 4; i++)
		bytes->words[i] = ~bytes->words[i];
}

/* The end of what was read, or NULL with @reason set. */
#define REFUSE(_reason, _sentence) (*(_reason) = (_sentence), NULL)

static const char *class_parse(const char *at, struct bytes *bytes, const char **reason)
{
	static const struct {
		const char *name;
		int (*has)(int byte);
	} classes[] = {
		{ "alnum:]", isalnum }, { "alpha:]", isalpha }, { "blank:]", isblank },
		{ "cntrl:]", iscntrl }, { "digit:]", isdigit }, { "graph:]", isgraph },
		{ "lower:]", islower }, { "print:]", isprint }, { "punct:]", ispunct },
		{ "space:]", isspace }, { "upper:]", isupper }, { "xdigit:]", isxdigit },
	};

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		if (strncmp(at, classes[i].name, strlen(classes[i].name)) != 0)
			continue;
		for (int byte = 0; byte < 0x80; byte++)
			if (classes[i].has(byte))
				bytes_add(bytes, (unsigned char)byte);
		return at + strlen(classes[i].name);
	}
	return REFUSE(reason, "has [: within brackets, but no class such as [:alpha:]");
}

/* One character within brackets. */
static const char *member_parse(const char *at, unsigned char *member, const char **reason)
{
	if (at[0] == '[' && (at[1] == '.' || at[1] == '=' || at[1] == ':'))
		return REFUSE(reason,
			      "has [. or [= or the end of a range that is a class, which are not supported");
	if (*at == '\\')
		at++;
	if (*at == '\0')
		return REFUSE(reason, "has a [ that is never closed; \\[ is the character itself");
	if ((unsigned char)*at >= 0x80)
		return REFUSE(reason, "has a character other than ASCII within brackets; use ? or *");
	*member = (unsigned char)*at;
	return at + 1;
}

/* From behind the bracket that opens to behind the one that closes. */
static const char *brackets_parse(const char *at, struct bytes *bytes, const char **reason)
{
	bool inverted = *at == '!' || *at == '^';
	const char *first = inverted ? at + 1 : at;
	unsigned char low, high;

	for (at = first; *at != ']' || at == first;) {
		if (at[0] == '[' && at[1] == ':') {
			at = class_parse(at + 2, bytes, reason);
			if (!at)
				return NULL;
			continue;
		}
		at = member_parse(at, &low, reason);
		if (!at)
			return NULL;
		high = low;
		if (at[0] == '-' && at[1] != ']') {
			at = member_parse(at + 1, &high, reason);
			if (!at)
				return NULL;
			if (high < low)
				return REFUSE(reason, "has a range within brackets that goes backwards");
		}
		for (unsigned int byte = low; byte <= high; byte++)
			bytes_add(bytes, (unsigned char)byte);
	}
	if (inverted)
		bytes_invert(bytes);
	return at + 1;
}

/* One element, that is not a star. */
static const char *element_parse(const char *at, struct bytes *bytes, const char **reason)
{
	switch (*at) {
	case '?':
		bytes_invert(bytes);
		return at + 1;
	case '[':
		return brackets_parse(at + 1, bytes, reason);
	case '\\':
		at++;
		if (*at == '\0')
			return REFUSE(reason, "ends with a backslash that nothing follows");
		__attribute__((fallthrough));
	default:
		bytes_add(bytes, (unsigned char)*at);
		return at + 1;
	}
}

/* All elements to @elements, which are empty at first; the states with a star to the pattern. */
static int elements_parse(struct pattern *pattern, struct bytes *elements, const char **reason)
{
	const char *at = pattern->text;

	while (*at != '\0') {
		if (*at == '*') {
			pattern->stars[pattern->last / WORD_BITS] |= UINT64_C(1) << pattern->last % WORD_BITS;
			at++;
			continue;
		}
		at = element_parse(at, &elements[pattern->last], reason);
		if (!at)
			return PATTERN_E_INVALID;
		pattern->last++;
	}
	return 0;
}

static bool bytes_are_all(const struct bytes *bytes)
{
	return (bytes->words[0] & bytes->words[1] & bytes->words[2] & bytes->words[3]) == UINT64_MAX;
}

/*
 * Fill a column for each byte. Subscribers choose the patterns, so this has to be quick: for nearly all elements, few bytes have
 * to be looked at.
 */
static void columns_fill(const struct pattern *pattern, const struct bytes *elements, uint64_t *columns)
{
	size_t n_words = pattern->n_words;

	for (size_t i = 0; i < pattern->last; i++)
		if (bytes_are_all(&elements[i]))
			columns[i / WORD_BITS] |= UINT64_C(1) << i % WORD_BITS;
	for (size_t byte = 1; byte < 256; byte++)
		memcpy(columns + byte * n_words, columns, n_words * sizeof(*columns));
	for (size_t i = 0; i < pattern->last; i++) {
		if (bytes_are_all(&elements[i]))
			continue;
		for (size_t word = 0; word < 4; word++)
			for (uint64_t left = elements[i].words[word]; left; left &= left - 1) {
				size_t byte = word * WORD_BITS + (size_t)__builtin_ctzll(left);

				columns[byte * n_words + i / WORD_BITS] |= UINT64_C(1) << i % WORD_BITS;
			}
	}
}

/* Finds the classes of bytes. @columns: room for 256 of them, empty. Return: how many there are. */
static size_t classes_find(struct pattern *pattern, const struct bytes *elements, uint64_t *columns)
{
	size_t n = 0, size = pattern->n_words * sizeof(*columns);

	columns_fill(pattern, elements, columns);
	for (unsigned int byte = 0; byte < 256; byte++) {
		const uint64_t *column = columns + byte * pattern->n_words;
		size_t i;

		for (i = 0; i < n && memcmp(columns + i * pattern->n_words, column, size) != 0; i++)
			;
		pattern->class[byte] = (uint8_t)i;
		if (i < n)
			continue;
		/* A column only moves to the front, to where none is needed any more. */
		if (n != byte)
			memcpy(columns + n * pattern->n_words, column, size);
		n++;
	}
	return n;
}

static int pattern_compile(struct pattern *pattern, const char **reason)
{
	struct bytes *elements = calloc(pattern->len, sizeof(*elements));
	uint64_t *columns = NULL;
	int r = -ENOMEM;

	pattern->stars = calloc(pattern->len / WORD_BITS + 1, sizeof(*pattern->stars));
	if (!elements || !pattern->stars)
		goto out;
	r = elements_parse(pattern, elements, reason);
	if (r)
		goto out;
	pattern->n_words = pattern->last / WORD_BITS + 1;
	columns = calloc(256 * pattern->n_words, sizeof(*columns));
	if (!columns) {
		r = -ENOMEM;
		goto out;
	}
	pattern->n_classes = classes_find(pattern, elements, columns);
	pattern->columns = realloc(columns, pattern->n_classes * pattern->n_words * sizeof(*columns));
	if (!pattern->columns)
		pattern->columns = columns;
out:
	free(elements);
	return r;
}

int pattern_new(struct pattern **ret, const char *text, const char **reason)
{
	struct pattern *pattern;
	bool wild;
	int r = 0;

	if (strlen(text) > PATTERN_MAX) {
		*reason = "is longer than " STRING(PATTERN_MAX) " bytes";
		return PATTERN_E_INVALID;
	}
	wild = strpbrk(text, "*?[\\") != NULL;
	pattern = calloc(1, sizeof(*pattern) + (wild ? CLASSES : 0));
	if (!pattern)
		return -ENOMEM;
	pattern->len = strlen(text);
	pattern->text = strdup(text);
	if (!pattern->text)
		r = -ENOMEM;
	else if (wild)
		r = pattern_compile(pattern, reason);
	if (r) {
		pattern_free(pattern);
		return r;
	}
	*ret = pattern;
	return 0;
}

struct pattern *pattern_free(struct pattern *pattern)
{
	if (pattern) {
		free(pattern->text);
		free(pattern->stars);
		free(pattern->columns);
		free(pattern);
	}
	return NULL;
}

const char *pattern_text(const struct pattern *pattern)
{
	return pattern->text;
}

size_t pattern_size(const struct pattern *pattern)
{
	size_t size = sizeof(*pattern) + pattern->len + 1;

	if (pattern->n_words == 0)
		return size;
	return size + CLASSES +
	       (pattern->len / WORD_BITS + 1 + pattern->n_classes * pattern->n_words) * sizeof(uint64_t);
}

size_t pattern_cost(const struct pattern *pattern)
{
	return pattern->n_words;
}

/* All states in one word, as nearly always. */
static bool match_short(const struct pattern *pattern, const unsigned char *data, size_t len)
{
	const uint64_t stars = *pattern->stars, last = UINT64_C(1) << pattern->last;
	uint64_t states = 1;

	for (size_t i = 0; i < len && states; i++) {
		if (states & stars & last)
			return true;
		states = (states & pattern->columns[pattern->class[data[i]]]) << 1 | (states & stars);
	}
	return (states & last) != 0;
}

static bool match_long(const struct pattern *pattern, const unsigned char *data, size_t len)
{
	uint64_t states[WORDS_MAX] = { 1 };
	uint64_t any = 1;

	for (size_t i = 0; i < len && any; i++) {
		const uint64_t *column = pattern->columns + pattern->class[data[i]] * pattern->n_words;
		uint64_t carry = 0;

		any = 0;
		for (size_t j = 0; j < pattern->n_words; j++) {
			uint64_t taken = states[j] & column[j];

			states[j] = taken << 1 | carry | (states[j] & pattern->stars[j]);
			carry = taken >> (WORD_BITS - 1);
			any |= states[j];
		}
	}
	return any && states[pattern->last / WORD_BITS] >> pattern->last % WORD_BITS & 1;
}

bool pattern_match(const struct pattern *pattern, const char *data, size_t len)
{
	if (pattern->n_words == 0)
		return len == pattern->len && (len == 0 || memcmp(data, pattern->text, len) == 0);
	if (pattern->n_words == 1)
		return match_short(pattern, (const unsigned char *)data, len);
	return match_long(pattern, (const unsigned char *)data, len);
}
