/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel's own word on how a process ended, for those whose threads ended with different codes at nearly the same time: the
 * messages do not show which one came first. /proc has the status until its parent has waited for it. A pidfd has one afterwards
 * (from Linux 6.15 on), but it is another one in exactly these cases (seen on 6.18), so it is not asked. No call here can sleep:
 * a process that has ended has no memory whose lock another one could hold.
 */

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
