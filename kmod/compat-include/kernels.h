/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_COMPAT_KERNELS_H
#define _FORKBUS_COMPAT_KERNELS_H

#include <linux/version.h>

/*
 * Before 6.1.67 no multicast group could be kept to those with CAP_NET_ADMIN. Later kernels than
 * the last one that this was tested on may have moved the places where the probes are.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 67)
#error "forkbus needs Linux 6.1.67 or later: before, anyone could listen to it"
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "forkbus does not know Linux 7.4 and later yet: its hooks have to be looked at first"
#endif

#endif
