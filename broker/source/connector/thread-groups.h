/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Thread groups: when did a process end, with which status, and what did it use? The input is the fork and exit of each
 * thread from the proc connector, and the taskstats record of each thread.
 *
 * A group ends when it had as many exits as forks, and one exit had the record with the flag of the last thread. The flag
 * alone is not enough: exits of other threads may come after it. Nor is the count: after a loss, or after a scan between the
 * end of a thread and its exit message, it is too low for a while, and a living process would be reported as ended. Threads
 * are counted by tgid alone, since a thread that calls exec takes the leader's id: that id exits twice, its own never.
 *
 * Pure: no system calls, no bus. Under steady load nothing is allocated here.
 */

#include <uthash.h>

#include "event.h"
#include "source/connector/proc-event.h"
#include "source/connector/records.h"
#include "source/connector/taskstats.h"
#include "source/pool.h"

#define GROUP_NSEC_PER_USEC UINT64_C(1000)

/* How good a thread's code is as the status of its process: higher is better. */
enum group_rank {
	GROUP_RANK_NONE,
	GROUP_RANK_STRAY,  /* a thread of the kernel's, or one that an exec ended: killed, but with code 0 */
	GROUP_RANK_THREAD, /* any thread's; the last one counts */
	GROUP_RANK_LAST,   /* reported by the thread that ended the process */
	GROUP_RANK_SIGNAL,
	GROUP_RANK_CORE, /* reported only by the thread that dumped core */
};

#define GROUP_UNCOUNTED UINT64_MAX /* its first message was a thread's fork */

struct group {
	uint32_t tgid;
	uint32_t alive;	      /* forks - exits */
	uint64_t fork_nsec;   /* CLOCK_MONOTONIC of its fork; 0: older than the source */
	uint64_t born_nsec;   /* earliest start; older messages belong to a previous process with this tgid */
	uint64_t ending_nsec; /* when it seemed to end, though not all threads had exited; 0: it did not */
	uint64_t check_nsec;  /* when to check that in /proc next */
	bool unseen;	      /* some of its threads may have started and ended unreported */
	bool mismatched;      /* an exit had no record: the sums are too low */
	uint64_t losses;      /* groups->losses when all its threads were counted, or GROUP_UNCOUNTED */
	bool last;	      /* the thread that ended the process has exited */
	bool missing;	      /* the last scan of /proc did not find it */
	bool old_count;	      /* the last scan did not count its threads */
	uint64_t known_nsec;  /* it certainly had its pid then: at its fork, or when /proc showed it */
	uint64_t changed_nsec; /* of its last message */
	bool has_record;
	enum group_rank rank;
	uint32_t code;
	uint32_t last_code;   /* of the thread that ended last, if any did */
	uint64_t exited_nsec; /* when that was, 0: none has ended */
	uint64_t
		disagreed_nsec; /* when threads last ended with different codes shortly after one another, 0: never */
	uint64_t raced_nsec;  /* as disagreed_nsec, and the earlier code was not 0 */
	uint64_t worker_nsec; /* when a worker of io_uring last ended by itself, 0: never */
	bool worker_certain;  /* it ended because its process did */
	uint64_t codes;	      /* a bit for each code, by its hash */
	struct taskstats_usage usage, all;
	bool has_rss; /* usage.max_rss_kib is that of the running program */
	uint64_t stray_rss_kib;
	bool has_all;	    /* @all: the kernel's sums of all its threads */
	uint32_t ghosts;    /* exits to come of the process that had its pid before */
	bool multithreaded; /* it had more than one thread at some time */
	bool privileged;    /* a thread used a capability */
	bool named;	    /* a thread was named, or may have been, while there were several */
	uint64_t adopted;   /* the number of the last orphan whose new parent it may be */
	bool asked_later;   /* it is in the list of processes to be asked about */
	bool own_ids;	    /* a thread had other ids than the leader */
	uint16_t version;   /* of its records */
	bool has_leader;    /* the following are of the leader's record, else of the last one */
	uint32_t ppid, uid, gid;
	char comm[TASKSTATS_COMM_MAX];
	TAILQ_ENTRY(group) link; /* among those that seem to be ending */
	UT_hash_handle hh;
};

/* Can its threads have different names? A child has the name of the thread that forked it. */
static inline bool group_names_differ(const struct group *group)
{
	return group->multithreaded && group->named;
}

struct groups;

/* The result of an exit. */
struct group_exit {
	struct group *group; /* NULL: of an unknown process */
	bool ended;	     /* it was the group's last one: call group_end(), then groups_remove() */
	bool has_record;
	struct taskstats_record record; /* of the thread */
};

/* How a process ended, as far as is known. */
struct group_end {
	bool has_status;
	bool in_doubt; /* threads ended with different codes at the same time: the status may be another one's */
	bool raced;    /* and it is as likely that it is: without further proof there is no status */
	uint32_t status; /* as a wait status */
	field_set has;	 /* EVENT_BIT()s of the usage fields that are correct */
	struct taskstats_usage usage;
	bool has_task; /* the following */
	uint32_t ppid, uid, gid;
	const char *comm;
	bool privileged; /* a thread used a capability */
};

/* groups_new() - @records: taskstats works, each exit has a record */
int groups_new(struct groups **ret, bool records);
/* NULL is fine. Return: NULL. */
struct groups *groups_free(struct groups *groups);

size_t groups_count(const struct groups *groups);
/* Number of groups that seem to be ending; number of records whose exit has not come. */
size_t groups_ending(const struct groups *groups);
size_t groups_records(const struct groups *groups);

struct group *groups_find(const struct groups *groups, uint32_t tgid);
/* Iterate over all groups; get the next one before the current one is removed. */
struct group *groups_first(const struct groups *groups);
struct group *group_next(const struct group *group);

/*
 * groups_adopt() - add a process whose messages are incomplete, with @alive threads, started at @born_nsec or later
 * Return: the group, NULL: no memory.
 */
struct group *groups_adopt(struct groups *groups, uint32_t tgid, uint32_t alive, uint64_t born_nsec);
void groups_remove(struct groups *groups, struct group *group);
/* group_had_code() - did one of its threads end with this code? May be wrong where it says so. */
bool group_had_code(const struct group *group, uint32_t code);

/* groups_record() - a record arrived; copied. Return: 0 or -ENOMEM. */
int groups_record(struct groups *groups, const struct taskstats_record *record);
/*
 * groups_expire() - drop older records of processes that are gone: their exit messages were lost
 * The exit of a process that still exists may come much later, after all its memory is freed.
 */
void groups_expire(struct groups *groups, uint64_t nsec);
/* groups_each_record() - look at the records whose exits have not come */
void groups_each_record(const struct groups *groups, records_fn fn, void *userdata);
/* groups_peek() - the record that belongs to an exit; NULL: it has not arrived. */
const struct taskstats_record *groups_peek(struct groups *groups, const struct cn_event *exit);

/*
 * groups_replaced() - the group whose tgid this fork reuses: its end was missed. Remove it before groups_fork().
 * The kernel reports an exit after the parent can wait for it, so it may also come after this fork.
 */
struct group *groups_replaced(struct groups *groups, const struct cn_event *event);

/* groups_fork() - a thread or a process started. Return: its group, NULL: no memory. */
struct group *groups_fork(struct groups *groups, const struct cn_event *event);

/* groups_exit() - a thread ended */
void groups_exit(struct groups *groups, const struct cn_event *event, struct group_exit *exit);

/*
 * groups_settle() - a process is gone, but exit messages are missing: use the records of its threads that arrived
 * @nsec: when it was found to be gone
 */
void groups_settle(struct groups *groups, struct group *group, uint64_t nsec);

/* groups_discard() - the same, but the records may be another process': drop them */
void groups_discard(struct groups *groups, const struct group *group, uint64_t nsec);

/*
 * groups_lost() - messages are missing before the next one
 * Forks may be among them: until the next scan, the counts of processes with threads may be too low.
 */
void groups_lost(struct groups *groups, uint64_t nsec);

/*
 * group_is_certain() - is a message of this time and with its tgid about this process? After a loss (@nsec of groups_lost():
 * the latest time of it) its end may be missing, and the fork of another process with its pid. NULL is allowed: yes.
 */
bool group_is_certain(const struct groups *groups, const struct group *group, uint64_t nsec);
/* group_is_younger() - does a message of this time belong to an earlier process with the same tgid? */
bool group_is_younger(const struct group *group, uint64_t nsec);
/* group_is_known() - it had its pid at this time */
void group_is_known(struct group *group, uint64_t nsec);
/* groups_ignore_exit() - an exit that may be of another process with its pid: drop its record, and check whether it lives */
void groups_ignore_exit(struct groups *groups, struct group *group, const struct cn_event *event);

/* groups_exec() - a process runs another program: the memory usage of the old one no longer counts */
void groups_exec(struct groups *groups, const struct cn_event *event);

/* groups_renamed() - a thread has another name; groups_own_ids() - a thread has other ids than the leader */
void groups_renamed(struct groups *groups, const struct cn_event *event);
void groups_own_ids(struct groups *groups, const struct cn_event *event);

void group_end(const struct groups *groups, const struct group *group, struct group_end *end);

/* group_end_stray() - the same for the last thread of an unknown process */
void group_end_stray(const struct group_exit *exit, struct group_end *end);

/*
 * groups_count_begin() - start to count threads by a scan of /proc, while events of the same time wait to be published.
 * The count takes these events into account: the fork of a thread that the scan counted is not counted again, and the
 * exit of a thread that was neither counted nor forked since is ignored. Call groups_count_thread() for each living thread,
 * and groups_count_end() when no event can be older than the scan any more.
 */
void groups_count_begin(struct groups *groups);
int groups_count_thread(struct groups *groups, uint32_t tgid, uint32_t tid);
void groups_count_end(struct groups *groups);
bool groups_counting(const struct groups *groups);

/*
 * groups_suspect() - the first group that seems to have ended without its last exit, and is to be checked now
 * It is checked again later, each time after a longer while.
 */
struct group *groups_suspect(struct groups *groups, uint64_t now_nsec);
