/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The objects on the bus: /org/forkbus1, with methods that begin subscriptions and lists, and properties of the broker
 * (manager.c); and subscriptions below it (subscription.c), each an object that its owner and root see, and whose signals go
 * to its owner alone.
 */

#include "request.h"
#include "serve/dbus/context.h"

/* dbus_manager_add() - put the object on the bus. Return: 0 or a negative errno. */
int dbus_manager_add(struct dbus *dbus);
/* dbus_manager_changed() - signal changed properties, not too often. Return: µs until the next signal; 0: nothing changed. */
uint64_t dbus_manager_changed(struct dbus *dbus, uint64_t now_usec);

/* dbus_subscriptions_add() - put all later subscriptions on the bus. Return: 0 or a negative errno. */
int dbus_subscriptions_add(struct dbus *dbus);
/* dbus_subscribe() - begin a subscription, and answer the call. @request: its filter is taken. @all: polkit lets it see all. */
int dbus_subscribe(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all);

/*
 * dbus_list() - begin a list of processes (list.c), which answers the call when it is complete
 * The answer is made in pieces in several turns of the loop, because there may be many processes. @request: its filter is
 * taken. @all: polkit lets it see all.
 */
int dbus_list(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all);
