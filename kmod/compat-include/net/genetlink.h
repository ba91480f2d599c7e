/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_COMPAT_NET_GENETLINK_H
#define _FORKBUS_COMPAT_NET_GENETLINK_H

#include_next <net/genetlink.h>

/*
 * The flag that keeps a multicast group to those with CAP_NET_ADMIN has changed its spelling, and
 * its value, in 6.8, and within 6.1 and 6.6 when that was backported. The wrong one compiles, and
 * leaves the group open to everyone: so it is chosen by what the header has, not by version.
 */
#ifndef GENL_MCAST_CAP_NET_ADMIN
#define GENL_MCAST_CAP_NET_ADMIN GENL_UNS_ADMIN_PERM
#endif

#endif
