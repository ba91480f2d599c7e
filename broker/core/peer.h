/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The other end of a Unix socket: its credentials at the time of connect(2), from the kernel.
 */

#include <stdbool.h>
#include <sys/types.h>

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	bool member; /* of the group that sees all, primary or supplementary */
};

/*
 * peer_from_socket() - credentials by SO_PEERCRED and SO_PEERGROUPS
 * @group: the group that sees all, or (gid_t)-1 for none
 * Return: 0 or a negative errno.
 */
int peer_from_socket(struct peer *peer, int fd, gid_t group);
