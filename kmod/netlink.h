/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_NETLINK_H
#define _FORKBUS_NETLINK_H

/* The generic netlink family: who listens, what they want, and sending it to them. */

#define FORKBUS_VERSION "0.1.0"

int forkbus_netlink_init(void);
/* From now on nobody can arm anything. */
void forkbus_netlink_stop(void);
/* Once no probe runs any more: sends what is left, and forgets all listeners. */
void forkbus_netlink_exit(void);

#endif
