/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a new process has from the process that made it.
 *
 * The message of a fork names the parent. With CLONE_PARENT the maker is a child of that parent, and the message does not
 * say which one. So a field is certain only if the parent and all of its children have the same value. The thread that called
 * clone(2) is not known either: threads can have names and, by raw system calls, ids of their own.
 */

#include "core/hub.h"
#include "source/connector/thread-groups.h"
#include "source/proc/procfs.h"

/* It makes the threads of the kernel, which get their names without a message, and the processes of its helper programs. */
#define HERITAGE_KTHREADD 2

/* The fields that a child has from its maker, as far as the table keeps them and /proc shows them. */
#define HERITAGE                                                                                     \
	(PROCFS_IDS | EVENT_BIT(login_uid) | EVENT_BIT(session) | EVENT_BIT(tty) | EVENT_BIT(comm) | \
	 EVENT_BIT(exe) | EVENT_BIT(privacy))

/* heritage_certain() - those of these fields that the maker must have had as @parent has them; NULL is allowed: none */
field_set heritage_certain(const struct groups *groups, const struct process *parent);

/* heritage_alike() - those that another possible maker must have had as @parent has them */
field_set heritage_alike(const struct groups *groups, const struct process *parent,
			 const struct process *maker);
