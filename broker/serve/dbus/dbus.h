/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The D-Bus face: proto/org.forkbus1.xml on a message bus. Where there is no bus, or it goes away, it is looked for again.
 */

#include <event2/event.h>

#include "core/budget.h"
#include "core/hub.h"
#include "serve/face.h"

struct dbus;

enum dbus_kind { DBUS_SYSTEM, DBUS_USER };

/*
 * dbus_new() - be on a message bus, as soon as there is one
 * @subscribers: how many there are, of all faces
 * Return: 0 or -ENOMEM.
 */
int dbus_new(struct dbus **ret, enum dbus_kind kind, struct hub *hub, struct event_base *base,
	     struct budget *budget, const struct face_options *options,
	     unsigned int (*subscribers)(void *userdata), void *userdata);
/* Leaves the bus. NULL is fine. Return: NULL. */
struct dbus *dbus_free(struct dbus *dbus);

/* New options: the group whose members see all, for those who come from now on. */
void dbus_set(struct dbus *dbus, const struct face_options *options);

/*
 * dbus_prepare() - to be called before every wait of the loop
 * Sends what is to be sent, as far as one turn goes, and sees that the loop wakes up when the bus wants it to: what sd-bus
 * waits for may be another thing after any call of it.
 */
void dbus_prepare(struct dbus *dbus);

/* Bytes are the bus library's affair: none are counted. */
const struct face_stats *dbus_stats(const struct dbus *dbus);
