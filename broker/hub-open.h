/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The hub, with the log in the runtime directory: reopened where there is one that is of use, else a new one.
 */

#include "config.h"
#include "core/hub.h"

/*
 * hub_open() - open the log, and make the hub of it
 * After a reopened log, what happened while no broker ran is an outage. Return: 0 or a negative errno, after logging why but
 * for -ENOMEM.
 */
int hub_open(struct hub **ret, const struct config *config, gid_t group);
