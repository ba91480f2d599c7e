/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FORKBUS_COMPAT_KERNELS_H
#define _FORKBUS_COMPAT_KERNELS_H

#include <linux/version.h>

/*
 * Before 6.1.67 no multicast group could be kept to those with CAP_NET_ADMIN. Later kernels than
 * the last one that this was tested on may have moved the places where the probes are.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 67)
#error "forkbus needs Linux 6.1.67 or later: before, anyone could listen to it"
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "forkbus does not know Linux 7.4 and later yet: its hooks have to be looked at first"
#endif

/*
 * Where it reads what a process used, without locks: each number must be read at once. On x86 a
 * kprobe that is not one of ftrace is a trap, in which no lock may be taken.
 */
#if !defined(CONFIG_64BIT) || !defined(CONFIG_SMP) || !defined(CONFIG_CGROUPS) || \
	!defined(CONFIG_SCHED_INFO) || !defined(CONFIG_TASK_XACCT) ||             \
	!defined(CONFIG_TASK_IO_ACCOUNTING)
#error "forkbus needs 64BIT, SMP, CGROUPS, TASK_DELAY_ACCT, TASK_XACCT, TASK_IO_ACCOUNTING"
#elif defined(CONFIG_X86) && !defined(CONFIG_KPROBES_ON_FTRACE)
#error "forkbus needs KPROBES_ON_FTRACE"
#endif

#endif
