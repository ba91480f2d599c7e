/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The window of each peer: how many signals may be sent to it before a ping shows that they have arrived.
 */

#include "serve/dbus/context.h"

/* dbus_pings_limit() - set the limits of pings in the budget */
void dbus_pings_limit(struct dbus *dbus);

/* dbus_ping_room() - how many more signals may be sent now */
unsigned int dbus_ping_room(const struct dbus_peer *peer);
/* dbus_ping_note() - signals were sent: ping the peer, if it is time to */
void dbus_ping_note(struct dbus_peer *peer);
/* dbus_ping_end() - the peer leaves */
void dbus_ping_end(struct dbus_peer *peer);

/* dbus_ping_run() - ping the peers whose turn it is. Return: µs until it can be tried again; 0: none waits for that. */
uint64_t dbus_ping_run(struct dbus *dbus, uint64_t now_usec);
