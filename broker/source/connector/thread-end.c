// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/thread-end.h"

#include <signal.h>

#include "source/connector/thread-code.h"

#define STATUS_SIG 0x7f

/* From this version on, what the kernel adds up for a process covers threads that have ended. */
#define VERSION_ALL_RIGHT 16

/* The kernel may write a core for these: the thread that does so has another code than the others. */
static bool dumps_core(uint32_t signal_number)
{
	const int signals[] = { SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
				SIGFPE,	 SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if ((uint32_t)signals[i] == signal_number)
			return true;
	return false;
}

/* The last one, and it never had another thread. */
static bool is_alone(const struct group *group)
{
	return group->last && !group->multithreaded;
}

/* Is the code that of the process, whatever the threads have whose ends are missing? */
static bool code_is_proof(const struct group *group)
{
	if (group->rank == GROUP_RANK_CORE || is_alone(group))
		return true;
	return group->rank == GROUP_RANK_SIGNAL && !dumps_core(group->code & STATUS_SIG);
}

/* Is the status certain? A signal's is. */
static void judge_race(const struct group *group, struct group_end *end)
{
	bool certain;

	if (!end->has_status || group->rank > GROUP_RANK_LAST)
		return;
	end->raced |= group_codes_raced(group);
	if (!group_worker_decides(group, &certain))
		return;
	end->in_doubt = true;
	end->raced |= !certain && end->status;
	end->status = 0;
}

static void judge_status(const struct group *group, bool heard, struct group_end *end)
{
	bool unseen = group->multithreaded && group->unseen;

	end->heard = heard;
	end->has_status = group->rank > GROUP_RANK_STRAY && (heard || code_is_proof(group));
	end->status = group->code & 0xffff;
	end->in_doubt = !end->has_status ||
			(group->rank <= GROUP_RANK_LAST && (unseen || group_codes_disagree(group)));
	judge_race(group, end);
}

static void judge_usage(const struct group *group, bool exact, struct group_end *end)
{
	end->usage = group->usage;
	if (!group->has_rss)
		end->usage.max_rss_kib = group->stray_rss_kib;
	end->has = USAGE_SUMS | EVENT_BIT(max_rss_kib);
	if (!group->multithreaded || (exact && !group->unseen))
		return;
	/* Only the kernel's own sums include threads that ended unseen. */
	end->has = EVENT_BIT(max_rss_kib);
	if (group->has_all && group->version >= VERSION_ALL_RIGHT) {
		end->usage.user_usec = group->all.user_usec;
		end->usage.system_usec = group->all.system_usec;
		end->usage.voluntary = group->all.voluntary;
		end->usage.involuntary = group->all.involuntary;
		end->has |= USAGE_CPU | USAGE_SWITCHES;
	}
}

void group_judge(const struct group *group, bool exact, bool complete, bool records, struct group_end *end)
{
	*end = (struct group_end){
		.has_task = group->has_record && (group->has_leader || !group->multithreaded),
		.ppid = group->ppid,
		.uid = group->uid,
		.gid = group->gid,
		.comm = group->comm,
		.privileged = group->privileged,
	};
	judge_status(group, exact && complete, end);
	if (records && complete && group->has_record && !group->mismatched)
		judge_usage(group, exact, end);
}

void group_end_stray(const struct group_exit *exit, struct group_end *end)
{
	const struct taskstats_record *record = &exit->record;

	*end = (struct group_end){
		.has_status = !record->has_group,
		.status = record->code & 0xffff,
		.usage = record->usage,
		.has = record->has_group ? 0 : USAGE_SUMS | EVENT_BIT(max_rss_kib),
		.has_task = true,
		.ppid = record->ppid,
		.uid = record->uid,
		.gid = record->gid,
		.comm = record->comm,
		.privileged = (record->flags & TASKSTATS_ASU) != 0,
	};
}
