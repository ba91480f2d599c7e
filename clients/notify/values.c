// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "values.h"

/* Return: which of the names it is, or -1. */
static int find_name(const char *const *names, size_t n, const char *text, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
			return (int)i;
	return -1;
}

/* The next word from @at on, or NULL at the end of the text. */
static const char *next_word(const char *at, size_t *len)
{
	at += strspn(at, " \t");
	*len = strcspn(at, " \t");
	return *len > 0 ? at : NULL;
}

int flag_parse(bool *flag, const char *text)
{
	static const char *const names[] = { "no", "yes" };
	int found = find_name(names, 2, text, strlen(text));

	if (found < 0)
		return -EINVAL;
	*flag = found == 1;
	return 0;
}

int urgency_parse(enum urgency *urgency, const char *text)
{
	static const char *const names[] = { "low", "normal", "critical" };
	int found = find_name(names, 3, text, strlen(text));

	if (found < 0)
		return -EINVAL;
	*urgency = (enum urgency)found;
	return 0;
}

int scope_parse(enum scope *scope, const char *text)
{
	static const char *const names[] = { "shell", "terminal", "all" };
	int found = find_name(names, 3, text, strlen(text));

	if (found < 0)
		return -EINVAL;
	*scope = (enum scope)found;
	return 0;
}

/* A decimal number of at most three digits. Return: it, or -1. */
static int number_of(const char *word, size_t len)
{
	int number = 0;

	if (len < 1 || len > 3)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return -1;
		number = number * 10 + word[i] - '0';
	}
	return number;
}

int number_parse(uint64_t *number, const char *text, int max)
{
	int value = number_of(text, strlen(text));

	if (value < 1 || value > max)
		return -EINVAL;
	*number = (uint64_t)value;
	return 0;
}

int kinds_parse(unsigned int *kinds, const char *text)
{
	static const char *const names[] = { "success", "failure", "stopped" };
	static const enum kind named[] = { KIND_SUCCESS, KIND_FAILURE, KIND_STOPPED };
	unsigned int parsed = 0;
	size_t len;

	for (const char *word = text; (word = next_word(word, &len)); word += len) {
		int found = find_name(names, 3, word, len);

		if (found < 0)
			return -EINVAL;
		parsed |= 1U << named[found];
	}
	*kinds = parsed;
	return 0;
}

int codes_parse(bool codes[static CODES_MAX], const char *text)
{
	bool parsed[CODES_MAX] = {};
	size_t len;

	for (const char *word = text; (word = next_word(word, &len)); word += len) {
		int number = number_of(word, len);

		if (number < 1 || number >= CODES_MAX)
			return -EINVAL;
		parsed[number] = true;
	}
	memcpy(codes, parsed, sizeof(parsed));
	return 0;
}

/* Two digits of at most @max. Return: the number, or -1. */
static int digits(const char *at, int max)
{
	int number;

	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
		return -1;
	number = (at[0] - '0') * 10 + at[1] - '0';
	return number <= max ? number : -1;
}

/* "07:30" at @at. Return: minutes after midnight, or -1. */
static int clock_parse(const char *at)
{
	int hour = digits(at, 23), minute;

	if (hour < 0 || at[2] != ':')
		return -1;
	minute = digits(at + 3, 59);
	return minute < 0 ? -1 : hour * 60 + minute;
}

int hours_parse(struct hours *hours, const char *text)
{
	struct hours parsed = { .any = true };

	if (*text == '\0') {
		*hours = (struct hours){ .any = false };
		return 0;
	}
	if (strlen(text) != strlen("22:00-07:00") || text[5] != '-')
		return -EINVAL;
	parsed.begin = clock_parse(text);
	parsed.end = clock_parse(text + 6);
	if (parsed.begin < 0 || parsed.end < 0 || parsed.begin == parsed.end)
		return -EINVAL;
	*hours = parsed;
	return 0;
}

bool hours_contain(const struct hours *hours, const struct tm *local)
{
	int minute = local->tm_hour * 60 + local->tm_min;

	if (!hours->any)
		return false;
	if (hours->begin < hours->end)
		return minute >= hours->begin && minute < hours->end;
	return minute >= hours->begin || minute < hours->end;
}

time_t hours_end(const struct hours *hours, time_t now)
{
	struct tm local;
	time_t end;

	localtime_r(&now, &local);
	for (int days = 0;; days = 1) {
		struct tm then = local;

		then.tm_mday += days;
		then.tm_hour = hours->end / 60;
		then.tm_min = hours->end % 60;
		then.tm_sec = 0;
		then.tm_isdst = -1;
		end = mktime(&then);
		if (end > now || days == 1)
			return end > now ? end : now + 60;
	}
}

static int add_word(struct globs *globs, const char *word, size_t len, const char **why)
{
	_cleanup_free_ char *text = strndup(word, len);
	struct pattern **grown;
	int r;

	if (globs->n == GLOBS_MAX) {
		*why = "there are too many globs in this list";
		return -EINVAL;
	}
	grown = reallocarray(globs->patterns, globs->n + 1, sizeof(struct pattern *));
	if (!grown)
		return -ENOMEM;
	globs->patterns = grown;
	r = text ? pattern_new(&globs->patterns[globs->n], text, why) : -ENOMEM;
	if (r < 0)
		return r;
	if (r > 0)
		return -EINVAL;
	globs->n++;
	return 0;
}

int globs_add(struct globs *globs, const char *text, const char **why)
{
	const char *word = text;
	size_t len;
	int r = 0;

	if (!next_word(word, &len))
		globs_done(globs);
	for (; r == 0 && (word = next_word(word, &len)); word += len)
		r = add_word(globs, word, len, why);
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
