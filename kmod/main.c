// SPDX-License-Identifier: GPL-2.0-only
/*
 * forkbus: what processes do, told over generic netlink. See forkbus_netlink.h for the protocol.
 */
#include <kernels.h>
#include <linux/module.h>

#include "netlink.h"
#include "probes.h"
#include "record.h"
#include "ring.h"

unsigned int forkbus_grace = 30;
module_param_named(grace, forkbus_grace, uint, 0644);
MODULE_PARM_DESC(grace,
		 "Seconds for which events are kept for a listener that has gone (default 30)");

unsigned int forkbus_ring = 8192;
module_param_named(ring, forkbus_ring, uint, 0444);
MODULE_PARM_DESC(ring, "KiB of memory for events, rounded up to a power of two (default 8192)");

static int __init forkbus_init(void)
{
	int err;

	forkbus_probes_init();
	err = forkbus_netlink_init();
	if (err)
		forkbus_probes_exit();
	return err;
}

/* No probe writes, nobody reads, and then there is nothing that could be read. */
static void __exit forkbus_exit(void)
{
	forkbus_netlink_stop();
	forkbus_probes_exit();
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
