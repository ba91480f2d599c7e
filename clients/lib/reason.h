/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Why the last call with a handle failed: a sentence for people, which forkbus_get_error() returns.
 */

#include <stdbool.h>

#include <jansson.h>

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

/* refusal_errno() - translate an error of the broker. Return: a negative errno, as forkbus_process() returns it. */
int refusal_errno(const char *name);

/* reason_set_refusal() - why the broker refused: its own words, or a sentence of ours. Return: as refusal_errno(). */
int reason_set_refusal(struct reason *reason, const char *name, json_t *parameters);

/* reason_clear() - remove the sentence */
static inline void reason_clear(struct reason *reason)
{
	reason->known = false;
}
