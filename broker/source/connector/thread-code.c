// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/thread-code.h"

#define STATUS_CORE 0x80
#define STATUS_SIG  0x7f

/* A thread that began its end before another one may be done after it, though hardly by so much. */
#define DISAGREE_NSEC UINT64_C(200000000)

enum group_rank thread_code_rank(uint32_t code, const struct taskstats_record *record)
{
	bool killed = record && record->flags & TASKSTATS_AXSIG;

	if (code & STATUS_CORE)
		return GROUP_RANK_CORE;
	if (record ? killed && code : code & STATUS_SIG)
		return GROUP_RANK_SIGNAL;
	if (killed)
		return GROUP_RANK_STRAY;
	return record && record->flags & TASKSTATS_AGROUP ? GROUP_RANK_LAST : GROUP_RANK_THREAD;
}

static uint64_t code_bit(uint32_t code)
{
	return UINT64_C(1) << (((code & 0xffff) * UINT32_C(0x9e3779b1)) >> 26);
}

bool group_had_code(const struct group *group, uint32_t code)
{
	return group->codes & code_bit(code);
}

/*
 * The process has the code of the thread that began its end last, or that called exit_group(2) first. The messages show only
 * when the threads were done. A thread of the kernel's (io_uring) that ended last by itself makes that code 0.
 */
static void group_compare_code(struct group *group, uint32_t code, uint64_t nsec)
{
	if (group->exited_nsec && code != group->last_code && nsec < group->exited_nsec + DISAGREE_NSEC)
		group->disagreed_nsec = nsec;
	group->last_code = code;
	group->exited_nsec = nsec;
}

void group_take_code(struct group *group, uint32_t code, const struct taskstats_record *record, uint64_t nsec)
{
	enum group_rank rank = thread_code_rank(code, record);

	group->codes |= code_bit(code);
	group_compare_code(group, code, nsec);
	if (rank < group->rank || (rank == group->rank && rank > GROUP_RANK_THREAD))
		return;
	group->rank = rank;
	group->code = code;
}

bool group_codes_disagree(const struct group *group)
{
	return group->disagreed_nsec && group->exited_nsec < group->disagreed_nsec + DISAGREE_NSEC;
}
