// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/access.h"

#include "core/peer.h"

/* These types are about what the broker itself sees, not about a process. */
#define ACCESS_EVERYONE EVENT_TYPES_ALWAYS

/* I/O counters can reveal a secret, such as the length of a password; arguments can contain one. */
#define BIT_PUBLIC(_member)  FIELDS_NONE
#define BIT_PRIVATE(_member) EVENT_BIT(_member)
static const field_set fields_private = 0
#define F(_member, _kind, _group, _key, _privacy) | BIT_##_privacy(_member)
#include "event-fields.h"
#undef F
	;

struct visibility access_of(const struct peer *peer)
{
	return (struct visibility){ .all = peer->uid == 0 || peer->member, .uid = peer->uid };
}

field_set access_fields(struct visibility visibility, const struct fb_event *event)
{
	bool own, left;

	if (visibility.all || (EVENT_TYPE_BIT(event->type) & ACCESS_EVERYONE))
		return FIELDS_ALL;
	own = EVENT_HAS(event, uid) && event->uid == visibility.uid;
	left = event->type == EVENT_ID && EVENT_HAS(event, old_uid) && event->old_uid == visibility.uid;
	if (!own && !left)
		return 0;
	/* An effective uid that is not known may be another's. */
	if (EVENT_HAS(event, euid) && event->euid == visibility.uid)
		return FIELDS_ALL;
	return ~fields_private;
}
