/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Questions to polkit: may a peer see the processes of all users? Pending ones belong to their peer and go with it.
 */

#include "serve/dbus/context.h"

struct dbus_query;

/* dbus_polkit_limit() - set the limits of questions in the budget */
void dbus_polkit_limit(struct dbus *dbus);

/*
 * dbus_polkit_ask() - ask for a peer
 * @done: called with the answer, unless the peer leaves; replies to the call
 * Return: 0; -EBUSY where too many are pending, or another negative errno.
 */
int dbus_polkit_ask(struct dbus_peer *peer, sd_bus_message *call,
		    void (*done)(struct dbus_peer *peer, sd_bus_message *call, bool granted));
void dbus_query_free(struct dbus_query *query);
