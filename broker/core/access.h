/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Decides which subscriber may see which event: in one place for every face, for live events, history, snapshots and lists.
 *
 * Root and the members of the group see all processes. Other users see the processes whose real uid is their own; id events
 * also if the old uid was. What a privileged program does is withheld from them (privacy.h). Everyone sees lost and source.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "event.h"

/* The other end of a Unix socket, or a caller on the message bus. */
struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	bool member; /* of the group that sees all processes, primary or supplementary */
};

struct visibility {
	bool all;
	uint32_t uid; /* when not all */
};

/*
 * peer_from_socket() - its credentials at the time of connect(2), from the kernel: SO_PEERCRED and SO_PEERGROUPS
 * @group: the group that sees all processes, or (gid_t)-1 for none
 * Return: 0 or a negative errno.
 */
int peer_from_socket(struct peer *peer, int fd, gid_t group);

struct visibility access_of(const struct peer *peer);

/* The result of access_fields() for a user who does not see all processes. */
field_set access_fields_of_user(uint32_t uid, const struct fb_event *event);

/* access_fields() - the fields of an event that may be shown; 0: it may not be seen at all */
static inline field_set access_fields(struct visibility visibility, const struct fb_event *event)
{
	return visibility.all ? FIELDS_ALL : access_fields_of_user(visibility.uid, event);
}
