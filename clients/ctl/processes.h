/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The processes that live, as the broker lists them.
 */

#include "clients/lib/forkbus.h"
#include "ctl.h"

struct listed {
	struct forkbus_event *event; /* owned */
	uint64_t pid, ppid;	     /* its; ppid 0: not known */
};

struct processes {
	struct listed *list; /* by pid */
	size_t n;
	uint64_t boot_usec; /* CLOCK_BOOTTIME when it was made */
};

/*
 * processes_get() - those that match a request (see options.h); NULL: all that one may see
 * Return: CTL_GO_ON; or an exit status, after a message.
 */
int processes_get(struct processes *processes, const struct ctl *ctl, json_t *request);
void processes_done(struct processes *processes);
