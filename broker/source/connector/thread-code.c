// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/thread-code.h"

#include <string.h>

#define STATUS_CORE 0x80
#define STATUS_SIG  0x7f

/* A thread that began its end before another one may be done after it, though hardly by so much. */
#define DISAGREE_NSEC UINT64_C(200000000)

/*
 * A worker of io_uring that has not run yet does not take the signal of exit_group(2), and one that had nothing to do for 5 s
 * ends by itself. Of others it shows whether their process ended by exit_group(2). One that has run has waited for work.
 */
#define WORKER_YOUNG_USEC UINT64_C(2000)
#define WORKER_IDLE_USEC  UINT64_C(5000000)

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
 * when the threads were done. The C library ends threads with 0, and processes by exit_group(2): a 0 followed by another code
 * is hardly a race, nor is a 0 that comes after the thread with the flag of the last one.
 */
static void group_compare_code(struct group *group, uint32_t code, uint64_t nsec)
{
	if (group->exited_nsec && code != group->last_code && nsec < group->exited_nsec + DISAGREE_NSEC) {
		group->disagreed_nsec = nsec;
		/* Without its record, a thread that ended with 0 may be a worker. */
		if (group->mismatched ||
		    !(group->last_code == 0 || (code == 0 && group->rank == GROUP_RANK_LAST)))
			group->raced_nsec = nsec;
	}
	group->last_code = code;
	group->exited_nsec = nsec;
}

/* Threads that the kernel makes for io_uring: "iou-wrk-" or "iou-sqp-" and a number. */
static bool is_worker(const struct taskstats_record *record)
{
	return record && !record->code && strncmp(record->comm, "iou-", 4) == 0;
}

/*
 * A thread that ends by exit(2) waits for its workers, which end after it began to: then the process has their code, 0. If it
 * ended by exit_group(2), they are killed.
 */
static void group_take_worker(struct group *group, const struct taskstats_record *record, uint64_t nsec)
{
	if (record->flags & TASKSTATS_AXSIG)
		return;
	group->worker_nsec = nsec;
	group->worker_certain = record->elapsed_usec >= WORKER_YOUNG_USEC &&
				record->elapsed_usec < WORKER_IDLE_USEC && record->usage.voluntary > 0;
}

bool group_worker_decides(const struct group *group, bool *certain)
{
	uint64_t apart = group->worker_nsec > group->exited_nsec ? group->worker_nsec - group->exited_nsec
								 : group->exited_nsec - group->worker_nsec;

	*certain = group->worker_certain;
	return group->worker_nsec && group->exited_nsec && (group->worker_certain || apart < DISAGREE_NSEC);
}

void group_take_code(struct group *group, uint32_t code, const struct taskstats_record *record, uint64_t nsec)
{
	enum group_rank rank = thread_code_rank(code, record);

	group->codes |= code_bit(code);
	if (is_worker(record)) {
		group_take_worker(group, record, nsec);
		rank = GROUP_RANK_STRAY;
	} else if (rank != GROUP_RANK_STRAY) {
		group_compare_code(group, code, nsec);
	}
	if (rank < group->rank || (rank == group->rank && rank > GROUP_RANK_THREAD))
		return;
	group->rank = rank;
	group->code = code;
}

bool group_codes_disagree(const struct group *group)
{
	return group->disagreed_nsec && group->exited_nsec < group->disagreed_nsec + DISAGREE_NSEC;
}

bool group_codes_raced(const struct group *group)
{
	return group->raced_nsec && group->exited_nsec < group->raced_nsec + DISAGREE_NSEC;
}

/* Usage, and what else a record has */

static void usage_add(struct taskstats_usage *sum, const struct taskstats_usage *usage)
{
	sum->user_usec += usage->user_usec;
	sum->system_usec += usage->system_usec;
	sum->minor_faults += usage->minor_faults;
	sum->major_faults += usage->major_faults;
	sum->voluntary += usage->voluntary;
	sum->involuntary += usage->involuntary;
	sum->read_bytes += usage->read_bytes;
	sum->write_bytes += usage->write_bytes;
	sum->read_chars += usage->read_chars;
	sum->write_chars += usage->write_chars;
}

/*
 * The threads share their memory: each record has the maximum of the whole process up to then. The record of a thread that
 * an exec ended may arrive after the exec, with the memory of the old program. Such records are used only if there is no
 * other.
 */
static void group_take_rss(struct group *group, const struct taskstats_record *record)
{
	uint64_t *max = thread_code_rank(record->code, record) == GROUP_RANK_STRAY
				? &group->stray_rss_kib
				: &group->usage.max_rss_kib;

	if (max == &group->usage.max_rss_kib)
		group->has_rss = true;
	if (record->usage.max_rss_kib > *max)
		*max = record->usage.max_rss_kib;
}

/* Threads can have names and ids of their own. Those of a process are its leader's. */
static void group_take_task(struct group *group, const struct taskstats_record *record)
{
	if (group->has_leader && record->tid != group->tgid)
		return;
	group->has_leader = record->tid == group->tgid;
	group->ppid = record->ppid;
	group->uid = record->uid;
	group->gid = record->gid;
	memcpy(group->comm, record->comm, sizeof(group->comm));
}

void group_take_record(struct group *group, const struct taskstats_record *record)
{
	usage_add(&group->usage, &record->usage);
	group_take_rss(group, record);
	group->has_record = true;
	group->last |= record->flags & TASKSTATS_AGROUP;
	group->privileged |= (record->flags & TASKSTATS_ASU) != 0;
	group->version = record->version;
	group_take_task(group, record);
	if (record->has_group) {
		group->all = record->group;
		group->has_all = true;
		group->multithreaded = true;
	}
}
