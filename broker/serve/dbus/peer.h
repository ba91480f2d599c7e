/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Callers on the bus. The broker requests the identity of a caller once; until the bus answers, the caller's calls wait, so
 * that every function that handles a call knows its sender.
 */

#include "serve/dbus/context.h"

/* dbus_peers_watch() - hold calls of unknown peers back, and notice names that leave. Return: 0 or a negative errno. */
int dbus_peers_watch(struct dbus *dbus);
/* dbus_peers_free() - free all of them, with their jobs and queries */
void dbus_peers_free(struct dbus *dbus);

/* dbus_sender() - the sender of a message; NULL: it has left */
struct dbus_peer *dbus_sender(struct dbus *dbus, sd_bus_message *message);
