/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_COMPAT_TRACE_EVENTS_SCHED_H
#define _FORKBUS_COMPAT_TRACE_EVENTS_SCHED_H

/*
 * A shadow header: the compiler finds it before the kernel's header of this name, which it
 * completes. So each is a file of its own, however short.
 */
#include_next <trace/events/sched.h>

/* Since 6.16 the probe gets whether the thread is the last one of its process. */
#define forkbus_exit_probe(before, since)                                                     \
	__builtin_choose_expr(__builtin_types_compatible_p(typeof(&trace_sched_process_exit), \
							   void (*)(struct task_struct *)),   \
			      before, since)

#endif
