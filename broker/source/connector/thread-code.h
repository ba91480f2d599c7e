/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the ends of its threads say about a process: which of their codes is its status, and what they used. For thread-groups.c.
 */

#include "source/connector/thread-groups.h"

/* The usage fields that are sums over threads */
#define USAGE_CPU      (EVENT_BIT(user_usec) | EVENT_BIT(system_usec))
#define USAGE_SWITCHES (EVENT_BIT(voluntary_switches) | EVENT_BIT(involuntary_switches))
#define USAGE_SUMS                                                                        \
	(USAGE_CPU | USAGE_SWITCHES | EVENT_BIT(minor_faults) | EVENT_BIT(major_faults) | \
	 EVENT_BIT(read_bytes) | EVENT_BIT(write_bytes) | EVENT_BIT(read_chars) | EVENT_BIT(write_chars))

/* thread_code_rank() - how good is the code of a thread? @record: of the thread, NULL: there is none */
enum group_rank thread_code_rank(uint32_t code, const struct taskstats_record *record);

/* group_take_code() - a thread ended with this code */
void group_take_code(struct group *group, uint32_t code, const struct taskstats_record *record,
		     uint64_t nsec);

/* group_codes_disagree() - did threads end with different codes at nearly the same time, and none long after it? */
bool group_codes_disagree(const struct group *group);
/* group_codes_raced() - can any of them be that of the process? */
bool group_codes_raced(const struct group *group);
/* group_worker_decides() - did a worker of io_uring end last, so that the code is 0? @certain: no other way to explain its end */
bool group_worker_decides(const struct group *group, bool *certain);

/* group_take_record() - add what a thread used */
void group_take_record(struct group *group, const struct taskstats_record *record);
