// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)
#include "source/connector/thread-code.h"

#include "base/cleanup.h"
#include "source/recent.h"

#define GROUPS_MAX (4 * 1024 * 1024) /* the kernel's PID_MAX_LIMIT */

/* /proc reports start times in clock ticks, and the kernel reports a fork some time after the start. */
#define BORN_SLACK_NSEC UINT64_C(10000000)

/* A thread whose exit was reported is no longer in /proc after this time. */
#define EXITED_NSEC UINT64_C(1000000000)

/* The exit of a process hardly comes so long after the fork of another one with its pid. */
#define GHOST_NSEC UINT64_C(100000000)

#define CHECK_FIRST_NSEC UINT64_C(1000000000)
#define CHECK_LAST_NSEC	 UINT64_C(60000000000)

/* From this version on, the record of the thread that ended its process has a flag. */
#define VERSION_AGROUP 12

/* From this version on, what the kernel adds up for a process covers threads that have ended. */
#define VERSION_ALL_RIGHT 16

/* A thread that a scan counted, or that was forked since. */
struct counted {
	uint32_t tid;
	UT_hash_handle hh;
};

TAILQ_HEAD(group_list, group);

struct groups {
	bool records;
	bool counting;
	uint64_t losses;      /* how many times messages were lost */
	uint64_t lost_nsec;   /* when that was last */
	struct group *groups; /* by tgid */
	struct pool pool;
	struct group_list ending;
	size_t n_ending;
	struct records *waiting;
	struct recent
		exited; /* threads, not leaders: by tid, with their tgid as the start; with time 0: the id is in use again */
	uint32_t ghosts;	 /* threads of the group that the next fork replaces */
	uint64_t latest_nsec;	 /* of the latest exit */
	struct counted *counted; /* by tid, while counting */
	struct pool counted_pool;
};

DEFINE_CLEANUP(struct groups, groups_free)

int groups_new(struct groups **ret, bool records)
{
	_cleanup_(groups_free_p) struct groups *groups = calloc(1, sizeof(*groups));

	if (!groups || records_new(&groups->waiting) < 0 || recent_init(&groups->exited) < 0)
		return -ENOMEM;
	groups->records = records;
	TAILQ_INIT(&groups->ending);
	pool_init(&groups->pool, sizeof(struct group), GROUPS_MAX);
	pool_init(&groups->counted_pool, sizeof(struct counted), GROUPS_MAX);
	*ret = steal(groups);
	return 0;
}

struct groups *groups_free(struct groups *groups)
{
	if (!groups)
		return NULL;
	HASH_CLEAR(hh, groups->counted);
	HASH_CLEAR(hh, groups->groups);
	pool_done(&groups->counted_pool);
	pool_done(&groups->pool);
	records_free(groups->waiting);
	recent_done(&groups->exited);
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
	return records_count(groups->waiting);
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

void groups_remove(struct groups *groups, struct group *group)
{
	group_set_ending(groups, group, false, 0);
	HASH_DEL(groups->groups, group);
	pool_give(&groups->pool, group);
}

int groups_record(struct groups *groups, const struct taskstats_record *record)
{
	return records_add(groups->waiting, record);
}

static bool record_is_of_group(const struct taskstats_record *record, void *userdata)
{
	const struct group *group = groups_find(userdata, record->tgid);

	return group && record->arrival_nsec >= group->fork_nsec;
}

void groups_expire(struct groups *groups, uint64_t nsec)
{
	records_expire(groups->waiting, nsec, record_is_of_group, groups);
}

void groups_each_record(const struct groups *groups, records_fn fn, void *userdata)
{
	records_each(groups->waiting, fn, userdata);
}

const struct taskstats_record *groups_peek(struct groups *groups, const struct cn_event *exit)
{
	const struct group *group = groups_find(groups, exit->tgid);

	return records_peek(groups->waiting, exit, group ? group->fork_nsec : 0);
}

/* Counting */

static struct counted *counted_find(const struct groups *groups, uint32_t tid)
{
	struct counted *counted;

	HASH_FIND(hh, groups->counted, &tid, sizeof(tid), counted);
	return counted;
}

static int counted_add(struct groups *groups, uint32_t tid)
{
	struct counted *counted = pool_take(&groups->counted_pool);
	bool oom = false;

	if (!counted)
		return -ENOMEM;
	counted->tid = tid;
	HASH_ADD(hh, groups->counted, tid, sizeof(tid), counted);
	if (oom) {
		pool_give(&groups->counted_pool, counted);
		return -ENOMEM;
	}
	return 0;
}

/* The kernel reports the exit of a thread before it removes the thread from /proc. */
static bool thread_has_exited(const struct groups *groups, uint32_t tgid, uint32_t tid)
{
	const struct recent_entry *exit = recent_find(&groups->exited, tid, NULL);

	return exit && exit->id.start_usec == tgid && exit->nsec + EXITED_NSEC >= groups->latest_nsec;
}

static void note_thread_exit(struct groups *groups, const struct cn_event *event)
{
	groups->latest_nsec = event->nsec;
	if (event->tid != event->tgid)
		recent_add(&groups->exited, (struct process_id){ event->tid, event->tgid }, event->nsec);
}

static void note_thread_fork(struct groups *groups, const struct cn_event *event)
{
	if (recent_find(&groups->exited, event->tid, NULL))
		recent_add(&groups->exited, (struct process_id){ event->tid, event->tgid }, 0);
}

void groups_count_begin(struct groups *groups)
{
	groups_count_end(groups);
	groups->counting = true;
}

int groups_count_thread(struct groups *groups, uint32_t tgid, uint32_t tid)
{
	struct group *group;

	if (counted_find(groups, tid) || thread_has_exited(groups, tgid, tid))
		return 0;
	group = groups_find(groups, tgid);
	if (!group)
		group = groups_adopt(groups, tgid, 0, 0);
	if (!group || counted_add(groups, tid) < 0)
		return -ENOMEM;
	group->alive++;
	/* The names of threads that were not seen to begin are not known. */
	group->named |= group->alive > 1 && !group->multithreaded;
	group->multithreaded |= group->alive > 1;
	return 0;
}

void groups_count_end(struct groups *groups)
{
	HASH_CLEAR(hh, groups->counted);
	pool_done(&groups->counted_pool);
	groups->counting = false;
}

bool groups_counting(const struct groups *groups)
{
	return groups->counting;
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
	if (event->tid != event->tgid)
		return NULL;
	group = groups_find(groups, event->tgid);
	if (!group || group_is_seen(group, event))
		return NULL;
	groups->ghosts = group_is_certain(groups, group, event->nsec) ? group->alive : 0;
	return group;
}

/* An exit of the process that had the pid before. Its record was used when this one replaced it. */
static bool exit_is_ghost(struct groups *groups, struct group *group, const struct cn_event *event)
{
	if (!group->ghosts)
		return false;
	if (event->nsec > group->fork_nsec + GHOST_NSEC)
		group->ghosts = 0;
	if (!group->ghosts || records_peek(groups->waiting, event, group->fork_nsec))
		return false;
	group->ghosts--;
	return true;
}

struct group *groups_fork(struct groups *groups, const struct cn_event *event)
{
	struct group *group = groups_find(groups, event->tgid);
	bool leader = event->tid == event->tgid;
	bool known = groups->counting && counted_find(groups, event->tid);
	bool seen = group && leader && group->alive > 0;

	note_thread_fork(groups, event);
	if (group && known && group_is_younger(group, event->nsec))
		return group;
	if (!group) {
		group = group_add(groups, event->tgid);
		if (!group)
			return NULL;
		/* The process is unknown, so its other threads are, too; at least one exists, which forked this one. */
		group->unseen = !leader;
		group->losses = leader ? groups->losses : GROUP_UNCOUNTED;
		group->alive = !leader && !groups->counting;
		group_is_known(group, event->nsec);
	}
	if (leader) {
		group->ghosts = groups->ghosts;
		groups->ghosts = 0;
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
	if (groups->counting)
		(void)counted_add(groups, event->tid);
	return group;
}

/* Does this exit reduce the count of threads? A group that the scan did not find keeps its old count. */
static bool exit_counts(struct groups *groups, const struct group *group, const struct cn_event *event)
{
	struct counted *counted;

	if (!groups->counting || (group && group->old_count))
		return true;
	counted = counted_find(groups, event->tid);
	if (!counted)
		return false;
	HASH_DEL(groups->counted, counted);
	pool_give(&groups->counted_pool, counted);
	return true;
}

/*
 * Have all its threads ended, and were all of them counted? The flag of the last thread decides. Where there is no flag, or
 * the record with the flag may be missing, the count is trusted, unless forks may have been lost.
 */
static bool group_is_complete(const struct groups *groups, const struct group *group)
{
	if (group->alive > 0)
		return false;
	if (group->last)
		return true;
	if (groups->records && group->has_record && !group->mismatched && group->version >= VERSION_AGROUP)
		return false;
	return !group->multithreaded || group->losses == groups->losses;
}

void groups_exit(struct groups *groups, const struct cn_event *event, struct group_exit *exit)
{
	struct group *group = groups_find(groups, event->tgid);
	const struct taskstats_record *record;
	bool counts;

	note_thread_exit(groups, event);
	if (group && (group_is_younger(group, event->nsec) ||
		      (groups->records && exit_is_ghost(groups, group, event))))
		group = NULL;
	counts = group && exit_counts(groups, group, event);
	exit->group = group;
	exit->ended = false;
	exit->has_record = groups->records && records_take(groups->waiting, event,
							   group ? group->fork_nsec : 0, &exit->record) == 0;
	record = exit->has_record ? &exit->record : NULL;
	if (!group)
		return;

	group->changed_nsec = event->nsec;
	group->multithreaded |= event->tid != event->tgid;
	if (record)
		group_take_record(group, record);
	else if (groups->records)
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
	struct cn_event exit = { .what = PROC_EVENT_EXIT,
				 .nsec = nsec,
				 .cpu = RECORD_ANY_CPU,
				 .tid = group->tgid,
				 .tgid = group->tgid,
				 .exit.code = RECORD_ANY_CODE };
	struct taskstats_record record;

	while (!group_is_complete(groups, group) &&
	       records_take(groups->waiting, &exit, group->fork_nsec, &record) == 0) {
		group_take_record(group, &record);
		group_take_code(group, record.code, &record, nsec);
		group->alive -= group->alive > 0;
	}
}

void groups_discard(struct groups *groups, const struct group *group, uint64_t nsec)
{
	struct cn_event exit = { .what = PROC_EVENT_EXIT,
				 .nsec = nsec,
				 .cpu = RECORD_ANY_CPU,
				 .tid = group->tgid,
				 .tgid = group->tgid,
				 .exit.code = RECORD_ANY_CODE };
	struct taskstats_record record;

	while (records_take(groups->waiting, &exit, group->fork_nsec, &record) == 0)
		;
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
	if (groups->counting && !counted_find(groups, event->tgid))
		(void)counted_add(groups, event->tgid);
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

void groups_lost(struct groups *groups, uint64_t nsec)
{
	groups->losses++;
	if (nsec > groups->lost_nsec)
		groups->lost_nsec = nsec;
}

bool group_is_certain(const struct groups *groups, const struct group *group, uint64_t nsec)
{
	if (group && group_is_younger(group, nsec))
		return false;
	return !group || groups->lost_nsec <= group->known_nsec || nsec <= group->known_nsec;
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
	(void)records_take(groups->waiting, event, 0, &record);
	group_set_ending(groups, group, true, event->nsec);
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

/* The end */

/* Is the status certain? A signal's is. */
static void end_judge(const struct groups *groups, const struct group *group, struct group_end *end)
{
	bool certain;

	if (!end->has_status || group->rank > GROUP_RANK_LAST)
		return;
	end->raced = group_codes_raced(group) || (group->multithreaded && group->losses != groups->losses);
	if (!group_worker_decides(group, &certain))
		return;
	end->in_doubt = true;
	end->raced |= !certain && end->status;
	end->status = 0;
}

void group_end(const struct groups *groups, const struct group *group, struct group_end *end)
{
	bool complete = group_is_complete(groups, group);
	bool unseen = group->multithreaded && (group->unseen || group->losses != groups->losses);

	*end = (struct group_end){
		/* If exits are missing, the last thread's status is unknown; only a status of higher rank is certain. */
		.has_status = group->rank > (complete ? GROUP_RANK_STRAY : GROUP_RANK_THREAD),
		.status = group->code & 0xffff,
		.in_doubt = group->rank <= GROUP_RANK_LAST && (unseen || group_codes_disagree(group)),
		.has_task = group->has_record,
		.ppid = group->ppid,
		.uid = group->uid,
		.gid = group->gid,
		.comm = group->comm,
		.privileged = group->privileged,
	};
	end_judge(groups, group, end);
	if (!groups->records || !group->has_record || group->mismatched || !complete)
		return;
	end->usage = group->usage;
	if (!group->has_rss)
		end->usage.max_rss_kib = group->stray_rss_kib;
	end->has = USAGE_SUMS | EVENT_BIT(max_rss_kib);
	if (!unseen)
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
