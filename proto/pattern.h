/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Glob patterns, with the grammar of fnmatch(3) without flags, matched in time that is proportional to the text.
 *
 *   *               any bytes, / too
 *   ?               one byte
 *   [a-z_] [!a-z]   one byte of these, or not of them; [[:digit:]] and the other classes of ASCII
 *   \               the next character has no special meaning
 *
 * Patterns come from anyone, are matched in the broker's one loop, and texts are as long as 4,096 bytes. The
 * C library's fnmatch() needs seconds for some pairs of those (measured: 7.5 s for a star and 2,000 open
 * brackets), wants terminated strings, and in some locales allocates. So a pattern becomes an automaton, run
 * with one bit a state. A bracket that is not closed, which fnmatch() matches as a character, and other likely
 * mistakes are errors with a reason.
 */

#include <stdbool.h>
#include <stddef.h>

struct pattern;

enum {
	_PATTERN_E_SUCCESS,
	PATTERN_E_INVALID,
};

/*
 * pattern_new() - compile a pattern
 * @text: without NULs inside; copied
 * @reason: where PATTERN_E_INVALID is returned, set to a constant sentence for people
 * Return: 0, PATTERN_E_INVALID, or -ENOMEM.
 */
int pattern_new(struct pattern **ret, const char *text, const char **reason);

/* NULL is fine. Return: NULL. */
struct pattern *pattern_free(struct pattern *pattern);

/* As it was given. */
const char *pattern_text(const struct pattern *pattern);

/* pattern_size() - the bytes of memory that it takes */
size_t pattern_size(const struct pattern *pattern);

/*
 * pattern_cost() - what matching costs
 * 0 without wildcards: one comparison. Else steps for each byte of the text: one for each 64 characters of
 * the pattern, at least one.
 */
size_t pattern_cost(const struct pattern *pattern);

/* pattern_match() - does the whole text match? Any bytes, NULs too. Allocates nothing. */
bool pattern_match(const struct pattern *pattern, const char *data, size_t len);

/* The longest that pattern_new() takes, in bytes. */
#define PATTERN_MAX 4096
