/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * ListProcesses: one reply, made in pieces over several turns of the loop, since there may be many processes.
 */

#include "request.h"
#include "serve/dbus/context.h"

/*
 * dbus_list() - begin a list, which answers the call when it is complete
 * @request: its filter is taken. @all: polkit lets it see all.
 */
int dbus_list(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all);
