/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A subscription to ends of processes, in the event loop. The library waits for a broker that does not run yet, and
 * reconnects to one that was restarted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "clients/lib/forkbus.h"

struct watch;

struct watch_options {
	const char *runtime_dir;
	uint64_t uid; /* whose processes */
	bool signals; /* only ends by a signal; if false, only of processes that lived at least this long: */
	uint64_t min_elapsed_usec;
	const char *since; /* see forkbus_set_since(); NULL: from now on */

	/* Gets the result of forkbus_process(). After an @item below 0 it is not called again. */
	void (*take)(struct watch *watch, int item, const struct forkbus_event *event, void *userdata);
	void *userdata;
};

/* watch_new() - @ret: to be freed by watch_free(). Return: 0 or a negative errno; an error was logged. */
int watch_new(struct watch **ret, sd_event *event, const struct watch_options *options);

/* NULL is fine. Return: NULL. */
struct watch *watch_free(struct watch *watch);

struct forkbus *watch_bus(struct watch *watch);
