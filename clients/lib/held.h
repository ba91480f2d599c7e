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
 * held_set() - make it a copy of an event
 * Memory is reused. Return: 0, or -ENOMEM: then it is what it was.
 */
int held_set(struct forkbus_event *held, const struct fb_event *event);

/* held_done() - free what it holds */
void held_done(struct forkbus_event *held);

/*
 * held_decode() - make it the event that an object of JSON is
 * @store: for use meanwhile
 * Return: 0, HELD_E_UNKNOWN where it is of a type that came after us, -EBADMSG, -ENOMEM.
 */
int held_decode(struct forkbus_event *held, struct event_store *store, json_t *object);

enum {
	_HELD_E_SUCCESS,
	HELD_E_UNKNOWN,
};
