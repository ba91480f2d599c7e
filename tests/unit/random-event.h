/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events of every kind, random but the same in each run.
 */

#include "event.h"

struct random {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t random_next(struct random *random)
{
	uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* 0 to n - 1 */
static inline uint64_t random_below(struct random *random, uint64_t n)
{
	return random_next(random) % n;
}

/* Up to @max, often at boundaries: powers of 2 and of 10 and their neighbours, both ends. */
static inline uint64_t random_integer(struct random *random, uint64_t max)
{
	uint64_t value = 1;

	switch (random_below(random, 5)) {
	case 0:
		return random_below(random, 2) ? max : 0;
	case 1:
		for (uint64_t n = random_below(random, 19); n > 0; n--)
			value *= 10;
		value += random_below(random, 3) - 1;
		break;
	case 2:
		value <<= random_below(random, 63);
		value += random_below(random, 3) - 1;
		break;
	default:
		value = random_next(random) >> random_below(random, 64);
		break;
	}
	return value <= max ? value : max - value % 1000;
}

/* Writes text of some kind. Return: its length, at most @max. */
static inline size_t random_text(struct random *random, char *at, size_t max)
{
	static const char *const pieces[] = { "a",
					      "\"",
					      "\\",
					      "\n",
					      "\x01",
					      "\x7f",
					      "\xc3\xa9",
					      "\xff",
					      "\xc3",
					      "\xe2\x82",
					      "\xed\xa0\x80",
					      "\xf0\x9f\x98\x80",
					      "/usr/bin/",
					      "\xc0\xaf",
					      "\x80",
					      "\xf4\x90\x80\x80",
					      "\xe2\x80\xa8",
					      "\t" };
	size_t len = random_below(random, 4) == 0
			     ? max
			     : random_below(random, random_below(random, 2) ? 20 : max + 1);
	uint64_t kind = random_below(random, 4);
	size_t n = 0;

	while (n < len) {
		const char *piece = pieces[random_below(random, sizeof(pieces) / sizeof(pieces[0]))];

		if (kind == 0 || random_below(random, 8) > kind)
			at[n++] = (char)('!' + random_below(random, kind == 3 ? 220 : 94));
		else if (kind == 2)
			at[n++] = (char)random_next(random);
		else
			for (; *piece && n < len; piece++)
				at[n++] = *piece;
	}
	return len;
}

struct random_event {
	struct fb_event event;
	char texts[EVENT_PACKED_MAX];
};

/* An event of any type with any fields (@only: none but these), integers up to INT64_MAX, texts up to their limits. */
static inline void random_event(struct random *random, struct random_event *ret, field_set only)
{
	field_set has = FIELDS_WORDS(random_next(random), random_next(random)), mask;
	char *at = ret->texts;

	if (random_below(random, 8) == 0)
		has = FIELDS_ALL;
	else if (random_below(random, 3) == 0)
		has &= FIELDS_WORDS(random_next(random), random_next(random));
	has &= only;
	has &= FIELD_BIT(_EVENT_FIELD_MAX) - 1;
	memset(&ret->event, 0x5a, sizeof(ret->event));
	fb_event_init(&ret->event, (enum event_type)(1 + random_below(random, _EVENT_TYPE_MAX - 1)));
	ret->event.has = has;
	mask = has;
	EVENT_FIELD_FOREACH(field, mask) {
		void *value = (char *)&ret->event + event_fields[field].offset;
		size_t max = EVENT_TEXT_MAX, len;

		switch ((enum event_kind)event_fields[field].kind) {
		case EVENT_KIND_U32:
			*(uint32_t *)value = (uint32_t)random_integer(random, UINT32_MAX);
			break;
		case EVENT_KIND_U64:
			*(uint64_t *)value = random_integer(random, INT64_MAX);
			break;
		case EVENT_KIND_BOOL:
			*(bool *)value = random_below(random, 2);
			break;
		case EVENT_KIND_PATH:
		case EVENT_KIND_ARGS:
			max = EVENT_PATH_MAX;
			/* fall through */
		case EVENT_KIND_TEXT:
			len = random_text(random, at, max);
			*(struct event_text *)value = (struct event_text){ at, len };
			at += len;
			break;
		}
	}
}
