// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)
#include "source/connector/thread-groups.h"

#include "base/cleanup.h"
#include "source/connector/thread-code.h"
#include "source/connector/thread-count.h"
#include "source/connector/thread-end.h"
#include "source/connector/thread-record.h"
#include "source/pool.h"

#define GROUPS_MAX (4 * 1024 * 1024) /* the kernel's PID_MAX_LIMIT */

/* /proc reports start times in clock ticks, and the kernel reports a fork some time after the start. */
#define BORN_SLACK_NSEC UINT64_C(10000000)

/* The exit of a process hardly comes so long after the fork of another one with its pid. */
#define GHOST_NSEC UINT64_C(100000000)

#define CHECK_FIRST_NSEC UINT64_C(50000000)
#define CHECK_LAST_NSEC	 UINT64_C(60000000000)

/* From this version on, the record of the thread that ended its process has a flag. */
#define VERSION_AGROUP 12

TAILQ_HEAD(group_list, group);

struct groups {
	struct thread_records records;
	uint64_t losses;	  /* how many times messages were lost */
	uint64_t lost_since_nsec; /* the first time of it since the last scan began; 0: none */
	struct group *groups;	  /* by tgid */
	struct pool pool;
	struct group_list ending;
	size_t n_ending;
	uint32_t ghosts; /* threads of the group that the next fork replaces */
	bool mixed;	 /* and some records may be that one's */
	struct thread_count count;
};

DEFINE_CLEANUP(struct groups, groups_free)

int groups_new(struct groups **ret, bool records)
{
	_cleanup_(groups_free_p) struct groups *groups = calloc(1, sizeof(*groups));

	if (!groups || thread_count_init(&groups->count) < 0 || records_new(&groups->records.waiting) < 0)
		return -ENOMEM;
	groups->records.enabled = records;
	TAILQ_INIT(&groups->ending);
	pool_init(&groups->pool, sizeof(struct group), GROUPS_MAX);
	*ret = steal(groups);
	return 0;
}

struct groups *groups_free(struct groups *groups)
{
	if (!groups)
		return NULL;
	HASH_CLEAR(hh, groups->groups);
	pool_done(&groups->pool);
	records_free(groups->records.waiting);
	thread_count_done(&groups->count);
	free(groups);
	return NULL;
}

size_t groups_count(const struct groups *groups)
{
	return HASH_COUNT(groups->groups);
}

size_t groups_ending(const struct groups *groups)
{
	return groups->n_ending;
}

size_t groups_records(const struct groups *groups)
{
	return records_count(groups->records.waiting);
}

struct group *groups_find(const struct groups *groups, uint32_t tgid)
{
	struct group *group;

	HASH_FIND(hh, groups->groups, &tgid, sizeof(tgid), group);
	return group;
}

struct group *groups_first(const struct groups *groups)
{
	return groups->groups;
}

struct group *group_next(const struct group *group)
{
	return group->hh.next;
}

static struct group *group_add(struct groups *groups, uint32_t tgid)
{
	struct group *group = pool_take(&groups->pool);
	bool oom = false;

	if (!group)
		return NULL;
	group->tgid = tgid;
	HASH_ADD(hh, groups->groups, tgid, sizeof(tgid), group);
	if (oom) {
		pool_give(&groups->pool, group);
		return NULL;
	}
	return group;
}

struct group *groups_adopt(struct groups *groups, uint32_t tgid, uint32_t alive, uint64_t born_nsec)
{
	struct group *group = groups_find(groups, tgid);

	if (!group)
		group = group_add(groups, tgid);
	if (!group)
		return NULL;
	group->alive = alive;
	group->born_nsec = born_nsec;
	group->unseen = true;
	group->missing = group->old_count = false;
	group->losses = groups->losses;
	/* Threads that were forked after the scan may have been lost, and lost messages may have been noted before it is used. */
	if (groups->count.active) {
		group->counted_nsec = groups->count.begin_nsec;
		group->scan = groups->count.number;
		if (groups->records.lost_nsec > groups->count.begin_nsec)
			group->losses = GROUP_UNCOUNTED;
	}
	group->multithreaded |= alive > 1;
	return group;
}

static void group_set_ending(struct groups *groups, struct group *group, bool ending, uint64_t now_nsec)
{
	if (ending == (group->ending_nsec != 0))
		return;
	if (ending) {
		group->ending_nsec = now_nsec ? now_nsec : 1;
		group->check_nsec = group->ending_nsec + CHECK_FIRST_NSEC;
		TAILQ_INSERT_TAIL(&groups->ending, group, link);
		groups->n_ending++;
	} else {
		group->ending_nsec = 0;
		TAILQ_REMOVE(&groups->ending, group, link);
		groups->n_ending--;
	}
}

/* An exit may have been its last one. */
static void group_check_soon(struct groups *groups, struct group *group, uint64_t now_nsec)
{
	group_set_ending(groups, group, false, 0);
	group_set_ending(groups, group, true, now_nsec);
}

void groups_remove(struct groups *groups, struct group *group)
{
	group_set_ending(groups, group, false, 0);
	HASH_DEL(groups->groups, group);
	pool_give(&groups->pool, group);
}

int groups_record(struct groups *groups, const struct taskstats_record *record)
{
	return records_add(groups->records.waiting, record);
}

static bool record_is_of_group(const struct taskstats_record *record, void *userdata)
{
	const struct group *group = groups_find(userdata, record->tgid);

	return group && record->arrival_nsec >= group->fork_nsec;
}

void groups_expire(struct groups *groups, uint64_t nsec)
{
	records_expire(groups->records.waiting, nsec, record_is_of_group, groups);
}

void groups_each_record(const struct groups *groups, records_fn fn, void *userdata)
{
	records_each(groups->records.waiting, fn, userdata);
}

bool groups_have_record(const struct groups *groups, uint32_t tgid)
{
	return records_have(groups->records.waiting, tgid);
}

const struct taskstats_record *groups_peek(struct groups *groups, const struct cn_event *since,
					   const struct cn_event *exit)
{
	const struct group *group = groups_find(groups, exit->tgid);
	const struct group newborn = { .tgid = exit->tgid, .fork_nsec = since->nsec };

	/* Before its fork is processed, there may be a group of an earlier process. */
	if (since->what == PROC_EVENT_FORK)
		group = &newborn;
	return group ? thread_record_peek(&groups->records, group, exit) : NULL;
}

/* Counting */

void groups_count_begin(struct groups *groups, uint64_t begin_nsec, uint64_t end_nsec)
{
	thread_count_begin(&groups->count, begin_nsec, end_nsec);
}

int groups_count_thread(struct groups *groups, uint32_t tgid, uint32_t tid)
{
	struct thread_count *count = &groups->count;
	struct group *group;

	if (thread_count_has(count, tgid, tid, 0) || thread_count_exited(count, tgid, tid))
		return 0;
	group = groups_find(groups, tgid);
	if (!group)
		group = groups_adopt(groups, tgid, 0, 0);
	if (!group || thread_count_add(count, tgid, tid) < 0)
		return -ENOMEM;
	group->alive++;
	/* The names of threads that were not seen to begin are not known. */
	group->named |= group->alive > 1 && !group->multithreaded;
	group->multithreaded |= group->alive > 1;
	return 0;
}

void groups_count_end(struct groups *groups)
{
	if (groups->records.lost_nsec < groups->count.begin_nsec)
		groups->lost_since_nsec = 0;
	thread_count_end(&groups->count);
}

bool groups_counting(const struct groups *groups)
{
	return groups->count.active;
}

/* The life of a group */

bool group_is_younger(const struct group *group, uint64_t nsec)
{
	return nsec < group->fork_nsec || nsec + BORN_SLACK_NSEC < group->born_nsec;
}

/* Did a scan find the process before its fork was processed? */
static bool group_is_seen(const struct group *group, const struct cn_event *fork)
{
	return !group->fork_nsec && fork->nsec < group->born_nsec + BORN_SLACK_NSEC;
}

struct group *groups_replaced(struct groups *groups, const struct cn_event *event)
{
	struct group *group;

	groups->ghosts = 0;
	groups->mixed = false;
	if (event->tid != event->tgid)
		return NULL;
	group = groups_find(groups, event->tgid);
	if (!group || group_is_seen(group, event))
		return NULL;
	groups->ghosts = group->alive;
	return group;
}

/*
 * Is this an exit of the process that had the pid before, or can it be? Its record was used when this process replaced it, unless
 * the records of both are mixed. An exit of this process that is ignored here is found missing in /proc.
 */
static bool exit_is_ghost(struct groups *groups, struct group *group, const struct cn_event *event)
{
	const struct taskstats_record *record;
	struct taskstats_record dropped;
	bool own;

	if (event->nsec > group->fork_nsec + GHOST_NSEC)
		group->ghosts = 0;
	if (!group->ghosts)
		return false;
	record = records_peek(groups->records.waiting, event, group->fork_nsec);
	own = record && !record_outlives(record, event, group->fork_nsec) &&
	      (event->tid == event->tgid || group->multithreaded);
	if (own && (!group->mixed || record->after_nsec >= group->fork_nsec))
		return false;
	if (group->mixed)
		(void)records_take(groups->records.waiting, event, group->fork_nsec, &dropped);
	if (!own) {
		group->ghosts--;
		group->mixed &= group->ghosts > 0 || !record;
	}
	group_check_soon(groups, group, event->nsec);
	return true;
}

struct group *groups_fork(struct groups *groups, const struct cn_event *event)
{
	struct group *group = groups_find(groups, event->tgid);
	bool leader = event->tid == event->tgid;
	bool known = group && group->scan == groups->count.number &&
		     thread_count_has(&groups->count, event->tgid, event->tid, event->nsec);
	bool seen = group && leader && group->alive > 0;

	thread_count_note_fork(&groups->count, event->tgid, event->tid);
	if (group && known && group_is_younger(group, event->nsec))
		return group;
	if (!group) {
		group = group_add(groups, event->tgid);
		if (!group)
			return NULL;
		/* The process is unknown, so its other threads are, too; at least one exists, which forked this one. */
		group->unseen = !leader;
		group->losses = leader ? groups->losses : GROUP_UNCOUNTED;
		group->alive = !leader && !groups->count.active;
		group_is_known(group, event->nsec);
	}
	if (leader) {
		group->ghosts = groups->ghosts;
		group->mixed = groups->mixed;
		groups->ghosts = 0;
		groups->mixed = false;
		group->fork_nsec = event->nsec;
		group_is_known(group, event->nsec);
		group->unseen = false;
		group->missing = group->old_count = false;
	} else {
		group->multithreaded = true;
	}
	group->changed_nsec = event->nsec;
	if (known || seen)
		return group;
	group->alive++;
	if (groups->count.active)
		(void)thread_count_add(&groups->count, event->tgid, event->tid);
	return group;
}

/*
 * Does this exit reduce the count of threads? A group that the scan did not find keeps its old count. A thread that ended before
 * the scan was not counted; when a thread ended whose message did not come is known from its record alone, and not exactly.
 */
static bool exit_counts(struct groups *groups, const struct group *group, const struct cn_event *event,
			const struct taskstats_record *record)
{
	uint64_t nsec = event->late && record ? record->heard_nsec : event->nsec;
	bool counted = thread_count_drop(&groups->count, event->tgid, event->tid);

	if (groups->count.active && !group->old_count)
		return counted;
	return nsec >= group->counted_nsec;
}

/* Was every thread counted, and no message lost since? */
static bool group_is_exact(const struct groups *groups, const struct group *group)
{
	return group->losses == groups->losses;
}

bool groups_heard_all(const struct groups *groups, const struct group *group)
{
	return group_is_exact(groups, group) && !group->unseen &&
	       groups->records.lost_nsec <= group->known_nsec;
}

/*
 * Have all its threads ended? The flag of the last thread decides. Where there is no flag, or the record with the flag may be
 * missing, the count is trusted if it cannot be too low. Else /proc is asked.
 */
static bool group_is_complete(const struct groups *groups, const struct group *group)
{
	if (group->alive > 0)
		return false;
	if (group->last)
		return true;
	if (!groups->records.enabled || (group->has_record && group->version < VERSION_AGROUP))
		return group_is_exact(groups, group);
	return (!group->has_record || group->mismatched) && !group->unseen && group_is_exact(groups, group);
}

void groups_exit(struct groups *groups, const struct cn_event *event, struct group_exit *exit)
{
	struct group *group = groups_find(groups, event->tgid);
	const struct taskstats_record *record;
	bool counts;

	thread_count_note_exit(&groups->count, event->tgid, event->tid, event->nsec);
	exit->group = NULL;
	exit->ended = exit->has_record = false;
	if (group && group_is_younger(group, event->nsec))
		group = NULL;
	if (group && groups->records.enabled && exit_is_ghost(groups, group, event))
		return;
	exit->group = group;
	exit->has_record = thread_record_take(&groups->records, group, event, &exit->record);
	record = exit->has_record ? &exit->record : NULL;
	counts = group && exit_counts(groups, group, event, record);
	if (!group)
		return;

	group->changed_nsec = event->nsec;
	group->multithreaded |= event->tid != event->tgid;
	if (record)
		group_take_record(group, record);
	else if (groups->records.enabled)
		group->mismatched = true;
	group_take_code(group, event->exit.code, record, event->nsec);
	if (counts && group->alive > 0)
		group->alive--;
	exit->ended = group_is_complete(groups, group);
	if (exit->ended)
		return;
	/* It should end soon. Check this later, since an exit may have been lost. */
	if (group->alive == 0 || (record ? record->flags & TASKSTATS_AGROUP : event->tid == event->tgid))
		group_set_ending(groups, group, true, event->nsec);
}

void groups_settle(struct groups *groups, struct group *group, uint64_t nsec)
{
	(void)thread_records_settle(&groups->records, group, nsec);
}

bool groups_settle_replaced(struct groups *groups, struct group *group, const struct cn_event *fork)
{
	/* After a loss, there may have been other processes with this pid. */
	if (group_is_certain(groups, group, fork->nsec) && !group->mixed &&
	    thread_records_settle(&groups->records, group, fork->nsec))
		return true;
	groups->mixed = thread_records_may_be_older(&groups->records, group, fork->nsec);
	return false;
}

bool groups_exit_is_doubtful(struct groups *groups, const struct group *group, const struct cn_event *exit)
{
	const struct taskstats_record *record = records_peek(groups->records.waiting, exit, group->fork_nsec);

	return record && thread_record_is_doubtful(&groups->records, group, record);
}

void groups_exec(struct groups *groups, const struct cn_event *event)
{
	struct group *group = groups_find(groups, event->tgid);

	if (!group)
		return;
	group->changed_nsec = event->nsec;
	group->usage.max_rss_kib = 0;
	group->has_rss = false;
	group->named = group->own_ids = group->has_leader = false;
	group->exited_nsec = group->disagreed_nsec = group->raced_nsec = group->worker_nsec = 0;
	/* The thread that called exec has the leader's id now. */
	if (groups->count.active)
		(void)thread_count_add(&groups->count, event->tgid, event->tgid);
	/* The leader may have ended because another thread called exec: the process goes on. */
	group_set_ending(groups, group, false, 0);
}

void groups_renamed(struct groups *groups, const struct cn_event *event)
{
	struct group *group = groups_find(groups, event->tgid);

	/* Threads that begin later have the name of the one that made them. */
	if (group)
		group->named |= group->multithreaded;
}

void groups_own_ids(struct groups *groups, const struct cn_event *event)
{
	struct group *group = groups_find(groups, event->tgid);

	if (group)
		group->own_ids = true;
}

void groups_lost(struct groups *groups, uint64_t since_nsec, uint64_t nsec)
{
	groups->losses++;
	if (!groups->lost_since_nsec || since_nsec < groups->lost_since_nsec)
		groups->lost_since_nsec = since_nsec;
	if (nsec > groups->records.lost_nsec)
		groups->records.lost_nsec = nsec;
}

void groups_records_lost(struct groups *groups, uint64_t since_nsec, uint64_t until_nsec)
{
	thread_records_lost(&groups->records, since_nsec, until_nsec);
}

bool group_is_certain(const struct groups *groups, const struct group *group, uint64_t nsec)
{
	if (group && group_is_younger(group, nsec))
		return false;
	return !group || groups->records.lost_nsec <= group->known_nsec || nsec <= group->known_nsec;
}

bool group_was_seen(const struct groups *groups, const struct group *group, uint64_t from_nsec, uint64_t nsec)
{
	return group_is_certain(groups, group, nsec) || from_nsec <= groups->lost_since_nsec ||
	       from_nsec <= group->known_nsec;
}

void group_is_known(struct group *group, uint64_t nsec)
{
	if (nsec > group->known_nsec)
		group->known_nsec = nsec;
}

void groups_ignore_exit(struct groups *groups, struct group *group, const struct cn_event *event)
{
	struct taskstats_record record;

	/* Its message has come: nobody may take the record for one whose message the kernel does not send. */
	(void)records_take(groups->records.waiting, event, 0, &record);
	(void)thread_count_drop(&groups->count, event->tgid, event->tid);
	group_check_soon(groups, group, event->nsec);
}

struct group *groups_suspect(struct groups *groups, uint64_t now_nsec)
{
	struct group *group;
	uint64_t wait;

	TAILQ_FOREACH(group, &groups->ending, link) {
		if (group->check_nsec > now_nsec)
			continue;
		/* A leader may end long before its process: check at growing intervals. */
		wait = 2 * (now_nsec - group->ending_nsec);
		group->check_nsec = now_nsec + (wait < CHECK_LAST_NSEC ? wait : CHECK_LAST_NSEC);
		return group;
	}
	return NULL;
}

void group_end(const struct groups *groups, const struct group *group, struct group_end *end)
{
	group_judge(group, group_is_exact(groups, group), group_is_complete(groups, group),
		    groups->records.enabled, end);
}
