/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An event that holds its own texts, each with a NUL behind, and a list of texts as pointers: what is lent to the caller.
 */

#include <jansson.h>

#include "event-json.h"
#include "public.h"

struct forkbus_event {
	struct fb_event event;
	char **strings; /* of args; in memory */
	size_t n_strings;
	void *memory;
	size_t size;
};

/*
 * event_copy_set() - make it a copy of an event
 * Memory is reused. Return: 0, or -ENOMEM: then it is what it was.
 */
int event_copy_set(struct forkbus_event *copy, const struct fb_event *event);

/* event_copy_done() - free what it holds */
void event_copy_done(struct forkbus_event *copy);

/*
 * event_copy_decode() - make it the event that an object of JSON is
 * @store: for use meanwhile
 * Return: 0, EVENT_COPY_E_UNKNOWN where it is of a type that came after us, -EBADMSG, -ENOMEM.
 */
int event_copy_decode(struct forkbus_event *copy, struct event_store *store, json_t *object);

enum {
	_EVENT_COPY_E_SUCCESS,
	EVENT_COPY_E_UNKNOWN,
};
