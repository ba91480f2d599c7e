// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/peer.h"

#include "base/cleanup.h"

/* Enough for most users; otherwise the kernel returns how many there are. */
#define GROUPS_AT_FIRST 64

/* Is the group among the supplementary ones? Return: 0, 1, or a negative errno. */
static int peer_has_group(int fd, gid_t group)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t size = GROUPS_AT_FIRST * sizeof(*groups);

	for (;;) {
		gid_t *more = realloc(groups, size);

		if (!more)
			return -ENOMEM;
		groups = more;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
			break;
		/* The kernel has set @size to what it needs. */
		if (errno != ERANGE)
			return -errno;
	}
	for (size_t i = 0; i < size / sizeof(*groups); i++)
		if (groups[i] == group)
			return 1;
	return 0;
}

int peer_from_socket(struct peer *peer, int fd, gid_t group)
{
	struct ucred ucred;
	socklen_t size = sizeof(ucred);
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
		return -errno;
	/* A socket without a peer has credentials too, without a uid. */
	if (size != sizeof(ucred) || ucred.uid == (uid_t)-1)
		return -ENOTCONN;
	*peer = (struct peer){ .pid = ucred.pid, .uid = ucred.uid, .gid = ucred.gid };
	if (group == (gid_t)-1)
		return 0;
	if (ucred.gid == group) {
		peer->member = true;
		return 0;
	}
	r = peer_has_group(fd, group);
	if (r < 0)
		return r;
	peer->member = r > 0;
	return 0;
}
