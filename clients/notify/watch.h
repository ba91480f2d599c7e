/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ends of processes, from the broker into the event loop. A broker that is not there is waited for; one that was restarted is
 * returned to by the library.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "clients/lib/forkbus.h"

struct watch;

struct watch_options {
	const char *runtime_dir;
	uint64_t uid; /* of whose processes */
	bool signals; /* those that a signal ended; else those that lived for so long: */
	uint64_t min_elapsed_usec;
	const char *since; /* see forkbus_set_since(); NULL: from now on */

	/* What forkbus_process() brought; @item is less than 0 for an error, after which nothing comes any more. */
	void (*take)(struct watch *watch, int item, const struct forkbus_event *event, void *userdata);
	void *userdata;
};

/* watch_new() - @ret: to be freed by watch_free(). Return: 0 or a negative errno, all said. */
int watch_new(struct watch **ret, sd_event *event, const struct watch_options *options);

/* NULL is fine. Return: NULL. */
struct watch *watch_free(struct watch *watch);

struct forkbus *watch_bus(struct watch *watch);
