// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "core/hash-number.h"

#include "parents.h"

struct awaited {
	uint32_t pid;
	struct process *children;
	UT_hash_handle hh;
};

static struct awaited *awaited_find(const struct parents *parents, uint32_t pid)
{
	struct awaited *awaited;

	HASH_FIND(hh, parents->awaited, &pid, sizeof(pid), awaited);
	return awaited;
}

static struct awaited *awaited_get(struct parents *parents, uint32_t pid)
{
	struct awaited *awaited = awaited_find(parents, pid);
	bool oom = false;

	if (awaited)
		return awaited;
	awaited = calloc(1, sizeof(*awaited));
	if (!awaited)
		return NULL;
	awaited->pid = pid;
	HASH_ADD(hh, parents->awaited, pid, sizeof(pid), awaited);
	if (oom) {
		free(awaited);
		return NULL;
	}
	return awaited;
}

static void awaited_drop_empty(struct parents *parents, struct awaited *awaited)
{
	if (awaited && !awaited->children) {
		HASH_DEL(parents->awaited, awaited);
		free(awaited);
	}
}

static void child_link(struct process **children, struct process *parent, struct process *child)
{
	child->parent = parent;
	child->sibling = *children;
	child->sibling_prev = children;
	if (child->sibling)
		child->sibling->sibling_prev = &child->sibling;
	*children = child;
}

static void child_unlink(struct process *child)
{
	if (!child->sibling_prev)
		return;
	*child->sibling_prev = child->sibling;
	if (child->sibling)
		child->sibling->sibling_prev = child->sibling_prev;
	child->parent = NULL;
	child->sibling = NULL;
	child->sibling_prev = NULL;
}

static void child_orphan(struct process *child)
{
	child_unlink(child);
	child->has &= ~(EVENT_BIT(ppid) | EVENT_BIT(parent_start_usec));
}

/* Is @parent the process that the child's ppid means, and no descendant of the child? */
static bool child_may_join(const struct process *child, const struct process *parent)
{
	if ((parent->has & EVENT_BIT(start_usec)) && (child->has & EVENT_BIT(parent_start_usec)) &&
	    !event_same_start(parent->id.start_usec, child->parent_start_usec))
		return false;
	if (parent == child)
		return false;
	if (child->children)
		for (const struct process *up = parent->parent; up; up = up->parent)
			if (up == child)
				return false;
	return true;
}

int parents_join(struct parents *parents, struct process *process, struct process *parent)
{
	struct awaited *awaited;

	/* pid 0, the kernel itself, is never in the table. */
	if (!(process->has & EVENT_BIT(ppid)) || process->ppid == 0)
		return 0;
	if (parent && child_may_join(process, parent)) {
		child_link(&parent->children, parent, process);
		return 0;
	}
	awaited = awaited_get(parents, process->ppid);
	if (!awaited)
		return -ENOMEM;
	child_link(&awaited->children, NULL, process);
	return 0;
}

void parents_leave(struct parents *parents, struct process *process)
{
	bool waited = process->sibling_prev && !process->parent;

	child_unlink(process);
	if (waited)
		awaited_drop_empty(parents, awaited_find(parents, process->ppid));
}

void parents_adopt(struct parents *parents, struct process *process)
{
	struct awaited *awaited = awaited_find(parents, process->id.pid);
	struct process *child, *next;

	if (!awaited)
		return;
	for (child = awaited->children; child; child = next) {
		next = child->sibling;
		if (!child_may_join(child, process))
			continue;
		child_unlink(child);
		child_link(&process->children, process, child);
	}
	awaited_drop_empty(parents, awaited);
}

void parents_orphan(struct process *process)
{
	while (process->children)
		child_orphan(process->children);
}

void parents_orphan_awaited(struct parents *parents, uint32_t pid)
{
	struct awaited *awaited = awaited_find(parents, pid);

	if (!awaited)
		return;
	while (awaited->children)
		child_orphan(awaited->children);
	awaited_drop_empty(parents, awaited);
}
