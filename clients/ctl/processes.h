/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The processes that live, as the broker lists them.
 */

#include "clients/lib/forkbus.h"
#include "ctl.h"
#include "event.h"

struct listed {
	struct forkbus_event *from; /* owned: what @event points into */
	struct fb_event event;	    /* without arguments, which no list has */
};

struct processes {
	struct listed *list; /* by pid */
	size_t n;
	uint64_t boot_usec; /* CLOCK_BOOTTIME when it was made */
};

/*
 * processes_get() - those that match a request (see filter-options.h); NULL: all that one may see
 * Return: CTL_GO_ON, or an exit status, all said.
 */
int processes_get(struct processes *processes, const struct ctl *ctl, json_t *request);
void processes_done(struct processes *processes);
