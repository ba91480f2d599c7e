// SPDX-License-Identifier: GPL-2.0-only
/*
 * forkbus: reports events of processes over generic netlink. See forkbus_netlink.h for the
 * protocol. Probes write records into a ring; a work item sends them. The ring wakes it through a
 * callback, so that there are no circles of calls.
 */
#include <kernels.h>
#include <linux/module.h>

#include "forkbus.h"

static int __init forkbus_init(void)
{
	int err;

	forkbus_probes_init();
	err = forkbus_netlink_init();
	if (err)
		forkbus_probes_exit();
	return err;
}

/* Writers stop first, then readers; then their memory is freed. */
static void __exit forkbus_exit(void)
{
	forkbus_netlink_exit();
	forkbus_ring_free();
	forkbus_records_free();
}

module_init(forkbus_init);
module_exit(forkbus_exit);

MODULE_DESCRIPTION("Process events for any number of listeners, over generic netlink");
MODULE_AUTHOR("The forkbus developers");
MODULE_VERSION(FORKBUS_VERSION);
MODULE_LICENSE("GPL");
