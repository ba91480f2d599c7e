// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/access.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "core/privacy.h"

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

/* These types are about the broker's own view, not about a process. */
#define ACCESS_EVERYONE EVENT_TYPES_ALWAYS

/* The private column of proto/event-fields.toml. */
#define IF_PUBLIC(_mark, _member)  FIELDS_NONE
#define IF_PROGRAM(_mark, _member) ((_mark) == PRIVACY_PROGRAM ? EVENT_BIT(_member) : FIELDS_NONE)
#define IF_USAGE(_mark, _member)   ((_mark) == PRIVACY_USAGE ? EVENT_BIT(_member) : FIELDS_NONE)

static const field_set fields_of_program = 0
#define F(_member, _kind, _group, _key, _privacy) | IF_##_privacy(PRIVACY_PROGRAM, _member)
#include "event-fields.h"
#undef F
	;
static const field_set fields_of_usage = 0
#define F(_member, _kind, _group, _key, _privacy) | IF_##_privacy(PRIVACY_USAGE, _member)
#include "event-fields.h"
#undef F
	;

struct visibility access_of(const struct peer *peer)
{
	return (struct visibility){ .all = peer->uid == 0 || peer->member, .uid = peer->uid };
}

field_set access_fields_of_user(uint32_t uid, const struct fb_event *event)
{
	field_set withheld = FIELDS_NONE;
	bool own, left;
	uint32_t marks;

	if (EVENT_TYPE_BIT(event->type) & ACCESS_EVERYONE)
		return FIELDS_ALL;
	own = EVENT_HAS(event, uid) && event->uid == uid;
	left = event->type == EVENT_ID && EVENT_HAS(event, old_uid) && event->old_uid == uid;
	if (!own && !left)
		return 0;
	marks = privacy_of(event);
	if (marks & PRIVACY_PROGRAM)
		withheld |= fields_of_program;
	if (marks & PRIVACY_USAGE)
		withheld |= fields_of_usage;
	return ~withheld;
}
