/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An event as the caller gets it: it contains its own texts, each followed by a NUL, and an array of pointers for a list of
 * texts. Its fields have the public numbers of forkbus.h.
 */

#include <jansson.h>

#include "event-json.h"

/* The library is compiled with hidden visibility; only the functions of the public header are exported. */
#pragma GCC visibility push(default)
#include "forkbus.h"
#pragma GCC visibility pop

struct forkbus_event {
	struct fb_event event;
	char **strings; /* of args; in memory */
	size_t n_strings;
	void *memory;
	size_t size;
};

enum {
	_EVENT_COPY_E_SUCCESS,
	EVENT_COPY_E_UNKNOWN,
};

/*
 * event_copy_set() - make it a copy of an event
 * Memory is reused. Return: 0, or -ENOMEM: then it is unchanged.
 */
int event_copy_set(struct forkbus_event *copy, const struct fb_event *event);

/*
 * event_copy_decode() - set it from a JSON object
 * @store: temporary memory
 * Return: 0, EVENT_COPY_E_UNKNOWN for a type that this version does not know, -EBADMSG, -ENOMEM.
 */
int event_copy_decode(struct forkbus_event *copy, struct event_store *store, json_t *object);

/* event_from_object() - a new event from a JSON object. Return: as event_copy_decode(). */
int event_from_object(struct forkbus_event **ret, json_t *object);

/* event_copy_done() - free its memory */
void event_copy_done(struct forkbus_event *copy);

/*
 * Conversion between public numbers and those of proto/event.h. A field's public number is its presence bit's plus one, and
 * is stable; a field that JSON does not have has no public number. Types have separate public numbers.
 */

/* Return: of enum event_field; _EVENT_FIELD_MAX for an unknown number. */
unsigned int field_internal(enum forkbus_field field);

/* Return: 0 for an internal type, which is not public. */
enum forkbus_type type_public(enum event_type type);
