// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/thread-record.h"

#include "source/connector/thread-code.h"

void thread_records_lost(struct thread_records *records, uint64_t since_nsec, uint64_t until_nsec)
{
	unsigned int i = records->n_losses++ % RECORD_LOSSES;

	records->losses[i].since_nsec = since_nsec;
	records->losses[i].until_nsec = until_nsec;
}

/* If the exit of that one was lost, its record was made before the loss. */
bool thread_record_is_doubtful(const struct thread_records *records, const struct group *group,
			       const struct taskstats_record *record)
{
	uint64_t born = group->fork_nsec   ? group->fork_nsec
			: group->born_nsec ? group->born_nsec
					   : UINT64_MAX;

	return record->after_nsec < born &&
	       (group->mixed || (records->lost_nsec && record->after_nsec <= records->lost_nsec));
}

/* May records be missing of a process that ended at @nsec? */
static bool any_is_missing(const struct thread_records *records, const struct group *group, uint64_t nsec)
{
	for (unsigned int i = 0; i < RECORD_LOSSES; i++)
		if (records->losses[i].until_nsec > group->fork_nsec && records->losses[i].since_nsec <= nsec)
			return true;
	return false;
}

/* Was the record of this exit lost, perhaps, and the one that is there made by the next process with this pid? */
static bool is_later(const struct thread_records *records, const struct group *group,
		     const struct cn_event *event, const struct taskstats_record *record)
{
	return event->reused && record->arrival_nsec > event->nsec &&
	       any_is_missing(records, group, event->nsec);
}

bool thread_record_take(struct thread_records *records, const struct group *group,
			const struct cn_event *event, struct taskstats_record *record)
{
	if (!records->enabled ||
	    records_take(records->waiting, event, group ? group->fork_nsec : 0, record) != 0)
		return false;
	return !group || (!thread_record_is_doubtful(records, group, record) &&
			  !is_later(records, group, event, record));
}

const struct taskstats_record *thread_record_peek(struct thread_records *records, const struct group *group,
						  const struct cn_event *exit)
{
	const struct taskstats_record *record = records_peek(records->waiting, exit, group->fork_nsec);

	if (!record || thread_record_is_doubtful(records, group, record) ||
	    any_is_missing(records, group, exit->nsec))
		return NULL;
	return record;
}

static void settle_thread(struct group *group, const struct taskstats_record *record, uint64_t nsec)
{
	group_take_record(group, record);
	group_take_code(group, record->code, record, nsec);
	group->alive--;
}

/*
 * If the next process with the pid has ended, too, there are more records than these threads; and if some are missing, all of
 * them may be that one's.
 */
bool thread_records_settle(struct thread_records *records, struct group *group, uint64_t nsec)
{
	struct taskstats_record record;
	bool in_order;
	size_t n = records_count_older(records->waiting, group->tgid, group->fork_nsec, nsec, &in_order);

	/* When all its exits were heard, what is left is of the next process with its pid. */
	if (group->alive == 0 || n == 0)
		return true;
	if (n < group->alive || (n > group->alive && !in_order) || any_is_missing(records, group, nsec))
		return false;
	while (group->alive > 0 &&
	       records_take_older(records->waiting, group->tgid, group->fork_nsec, nsec, &record) == 0 &&
	       !thread_record_is_doubtful(records, group, &record))
		settle_thread(group, &record, nsec);
	return true;
}

bool thread_records_may_be_older(const struct thread_records *records, const struct group *group,
				 uint64_t nsec)
{
	bool in_order;

	return records_count_older(records->waiting, group->tgid, group->fork_nsec, nsec, &in_order) > 0;
}
