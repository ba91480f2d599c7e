/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel's own word on how a process ended, for those whose threads ended with different codes at nearly the same time: the
 * messages do not show which one came first. /proc has the status until its parent has waited for it. A pidfd has one afterwards
 * (from Linux 6.15 on), but it is another one in exactly these cases (seen on 6.18), so it is not asked. No call here can sleep:
 * a process that has ended has no memory whose lock another one could hold.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
	_VERDICT_E_SUCCESS,
	VERDICT_E_UNKNOWN, /* it is too late to ask, or not permitted, or it has not ended */
};

/*
 * verdict_ask() - the wait status of a process that has ended
 * @start_usec: its start, 0: unknown
 * Return: 0 or VERDICT_E_UNKNOWN.
 */
int verdict_ask(uint32_t pid, uint64_t start_usec, uint32_t *status);

/*
 * verdict_is_zombie() - has the whole process ended, and waits for its parent?
 * A pidfd knows. /proc is read only where the kernel, a filter of system calls or valgrind refuses one: for a moment a reader of
 * /proc holds the memory of a process that has not ended, and if it is the last one to do so, it has to free that memory.
 */
bool verdict_is_zombie(uint32_t pid);
