/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_COMPAT_TRACE_EVENTS_TASK_H
#define _FORKBUS_COMPAT_TRACE_EVENTS_TASK_H

/*
 * A shadow header: the compiler finds it before the kernel's header of this name, which it
 * completes. So each is a file of its own, however short.
 */
#include_next <trace/events/task.h>

/* Flags of clone(2) were unsigned long, and are u64 since 6.18. */
typedef typeof(__builtin_choose_expr(
	__builtin_types_compatible_p(typeof(&trace_task_newtask),
				     void (*)(struct task_struct *, unsigned long)),
	(unsigned long)0, (u64)0)) forkbus_clone_flags_t;

#endif
