/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Subscriptions, each an object below /org/forkbus1/subscription that its owner and root see, and whose signals go to its
 * owner alone.
 */

#include "request.h"
#include "serve/dbus/context.h"

/* dbus_subscriptions_add() - put all there will be on the bus. Return: 0 or a negative errno. */
int dbus_subscriptions_add(struct dbus *dbus);

/* dbus_subscribe() - begin one, and answer the call. @request: its filter is taken. @all: polkit lets it see all. */
int dbus_subscribe(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all);
