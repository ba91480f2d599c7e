/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What libforkbus brings, as the rest of the program wants it.
 */

#include "clients/lib/forkbus.h"
#include "event.h"

/* Where taken_event() puts what the library has in pieces. */
struct taken_store {
	char args[EVENT_PATH_MAX];
};

/* taken_event() - the same event. Texts point into @from and @store. */
void taken_event(struct fb_event *event, struct taken_store *store, const struct forkbus_event *from);
