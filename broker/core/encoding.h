/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a view puts its events one behind the other: as one kind of its faces sends them, or can make of them what it sends.
 */

#include "event-json.h"

/* No event takes more, in any encoding. */
#define ENCODED_MAX (EVENT_JSON_MAX + 2)

struct encoding {
	const char *name;
	/* Only the fields in @mask; @to has room for ENCODED_MAX bytes. Return: the length. */
	size_t (*put)(const struct fb_event *event, field_set mask, char *to);
};

/* JSON, a line each */
extern const struct encoding encoding_lines;
/* Lines that are members of an array: a comma before each newline, and no other newlines */
extern const struct encoding encoding_members;
/* For faces with types of their own: the length of what follows, as a uint32_t, and the packed form (event.h) */
extern const struct encoding encoding_packed;

/*
 * encoding_unpack() - read the first packed event
 * @data: begins with one, and holds it whole; texts point into it. Return: what it takes.
 */
size_t encoding_unpack(struct fb_event *event, const char *data);
