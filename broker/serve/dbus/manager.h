/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The object /org/forkbus1: methods that begin subscriptions and lists, and properties of the broker.
 */

#include "serve/dbus/context.h"

/* dbus_manager_add() - put the object on the bus. Return: 0 or a negative errno. */
int dbus_manager_add(struct dbus *dbus);

/* dbus_manager_changed() - signal changed properties, not too often. Return: µs until it is time to; 0: nothing changed. */
uint64_t dbus_manager_changed(struct dbus *dbus, uint64_t now_usec);
