/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who is whose child in the table of processes. A child may be known before its parent is (/proc lists by
 * pid, not by age): it waits here until the parent comes. There are never circles, whatever the events say.
 */

#include "core/table.h"

struct awaited;

struct family {
	struct awaited *awaited; /* children without their parent, by ppid */
};

/*
 * family_join() - put a process where its ppid says
 * @parent: the living process with that pid, or NULL. Return: 0 or -ENOMEM.
 */
int family_join(struct family *family, struct process *process, struct process *parent);

/* family_leave() - take a process from its siblings; its ppid still stands */
void family_leave(struct family *family, struct process *process);

/* family_adopt() - give a process that is new those who waited for it */
void family_adopt(struct family *family, struct process *process);

/* family_orphan() - the children of a process lose their parent, and forget who it was */
void family_orphan(struct process *process);

/* family_orphan_awaited() - the same for those who waited for a pid */
void family_orphan_awaited(struct family *family, uint32_t pid);
