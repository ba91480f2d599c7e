/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Why the last call with a handle failed: a sentence for people, which forkbus_get_error() returns.
 */

#include <stdbool.h>

#include "filter.h"

#define REASON_MAX 512

struct reason {
	bool known;
	char text[REASON_MAX];
};

/* reason_set() - keep a sentence; cut where it is too long. Return: @error. */
int reason_set(struct reason *reason, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* reason_set_filter() - why a filter is refused: "KEY: REASON". Return: -EINVAL. */
int reason_set_filter(struct reason *reason, const struct filter_error *error);

/* reason_clear() - there is none */
static inline void reason_clear(struct reason *reason)
{
	reason->known = false;
}
