/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_PROBES_H
#define _FORKBUS_PROBES_H

/*
 * The places in the kernel where events happen. All of them are in process context; a probe writes
 * one record into the ring and goes on.
 */

#include <linux/types.h>

/* Finds what this kernel has; nothing is armed. Sleeps. */
void forkbus_probes_init(void);
/* Disarms what is armed, and waits until no probe runs any more. */
void forkbus_probes_exit(void);

/* Types that there are hooks for, and those that are armed. To be read only. */
extern u32 forkbus_supported, forkbus_armed;

/*
 * Arms these types, and no others: those that were armed before and still are miss nothing
 * meanwhile. Writes a record that says so. An exec has so many bytes of @arguments. Sleeps; callers
 * exclude each other.
 */
void forkbus_probes_arm(u32 types, u32 arguments);

#endif
