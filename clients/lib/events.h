/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An event as it is lent to the caller: it holds its own texts, each with a NUL behind, and a list of texts as pointers.
 * Its fields have the public numbers of forkbus.h.
 */

#include <jansson.h>

#include "event-json.h"

/* The library is compiled with all names hidden; those of the public header are not. */
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
 * Memory is reused. Return: 0, or -ENOMEM: then it is what it was.
 */
int event_copy_set(struct forkbus_event *copy, const struct fb_event *event);

/*
 * event_copy_decode() - make it the event that an object of JSON is
 * @store: for use meanwhile
 * Return: 0, EVENT_COPY_E_UNKNOWN where it is of a type that came after us, -EBADMSG, -ENOMEM.
 */
int event_copy_decode(struct forkbus_event *copy, struct event_store *store, json_t *object);

/* event_from_object() - a new event, of an object of JSON. Return: as event_copy_decode(). */
int event_from_object(struct forkbus_event **ret, json_t *object);

/* event_copy_done() - free what it holds */
void event_copy_done(struct forkbus_event *copy);

/*
 * Public numbers and those of proto/event.h. Both stay: a field's public number is one more than that of its presence bit, and
 * there is none where JSON has not got the field. Types are numbered in two ways.
 */

/* Return: of enum event_field; _EVENT_FIELD_MAX for a number that is none. */
unsigned int field_internal(enum forkbus_field field);

/* Return: 0 for a type that only the inside has. */
enum forkbus_type type_public(enum event_type type);
