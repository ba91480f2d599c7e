/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Parents and children in the table of processes. A child may be known before its parent is (/proc lists by pid, not by
 * age): it waits here until the parent is added. There are never circles, even if events contradict each other.
 */

#include "core/table.h"

struct awaited;

struct parents {
	struct awaited *awaited; /* children without their parent, by ppid */
};

/*
 * parents_join() - make a process a child of the process that its ppid names
 * @parent: the living process with that pid, or NULL. Return: 0 or -ENOMEM.
 */
int parents_join(struct parents *parents, struct process *process, struct process *parent);

/* parents_leave() - remove a process from its siblings; its ppid stays */
void parents_leave(struct parents *parents, struct process *process);

/* parents_adopt() - add the children that waited for a new process to it */
void parents_adopt(struct parents *parents, struct process *process);

/* parents_orphan() - the children of a process lose their parent and their ppid */
void parents_orphan(struct process *process);

/* parents_orphan_awaited() - the same for the children that waited for a pid */
void parents_orphan_awaited(struct parents *parents, uint32_t pid);
