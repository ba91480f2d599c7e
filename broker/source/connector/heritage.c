// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/heritage.h"

#include <string.h>

/* With more children than this, nothing is certain: comparing them at each fork would be slow. */
#define CHILDREN_MAX 32

/* Fields that both have, with the same value, or that neither has. Equal paths are one text, see intern.h. */
static field_set same_fields(const struct process *a, const struct process *b)
{
	field_set same = ~(a->has ^ b->has);

#define COMPARE(_member)              \
	if (a->_member != b->_member) \
		same &= ~EVENT_BIT(_member) | ~a->has;
	COMPARE(uid)
	COMPARE(gid)
	COMPARE(euid)
	COMPARE(egid)
	COMPARE(login_uid)
	COMPARE(session)
	COMPARE(exe)
#undef COMPARE
	if ((a->has & EVENT_BIT(tty)) &&
	    (a->tty_len != b->tty_len || memcmp(a->tty, b->tty, a->tty_len) != 0))
		same &= ~EVENT_BIT(tty);
	if ((a->has & EVENT_BIT(comm)) &&
	    (a->comm_len != b->comm_len || memcmp(a->comm, b->comm, a->comm_len) != 0))
		same &= ~EVENT_BIT(comm);
	/* It is not among the fields that the table has. */
	same |= EVENT_BIT(privacy);
	if (a->privacy != b->privacy || a->certain != b->certain)
		same &= ~EVENT_BIT(privacy);
	return same & HERITAGE;
}

/* What its threads have in common. */
static field_set threads_agree(const struct groups *groups, const struct process *process)
{
	const struct group *group = groups_find(groups, process->id.pid);

	if (!group)
		return HERITAGE & ~EVENT_BIT(comm);
	return HERITAGE & ~(group->own_ids ? PROCFS_IDS : 0) &
	       ~(group_names_differ(group) ? EVENT_BIT(comm) : 0);
}

field_set heritage_alike(const struct groups *groups, const struct process *parent,
			 const struct process *maker)
{
	field_set same = same_fields(parent, maker);

	return same ? same & threads_agree(groups, maker) : 0;
}

field_set heritage_certain(const struct groups *groups, const struct process *parent)
{
	const struct process *child;
	field_set certain;
	unsigned int n = 0;

	if (!parent)
		return 0;
	certain = threads_agree(groups, parent);
	if (parent->id.pid == HERITAGE_KTHREADD)
		certain &= ~(EVENT_BIT(comm) | EVENT_BIT(exe));
	for (child = parent->children; child && certain; child = child->sibling) {
		if (++n > CHILDREN_MAX)
			return 0;
		certain &= heritage_alike(groups, parent, child);
	}
	return certain;
}
