/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * jansson drops bytes of a string, or digits of a number, where it had no memory to make its buffer for them larger, and says
 * nothing. So what it read is measured against the text.
 */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* json_is_whole() - are all bytes of a text's strings and integers in the value that was read from it? @text: valid JSON */
bool json_is_whole(json_t *value, const char *text, size_t len);
