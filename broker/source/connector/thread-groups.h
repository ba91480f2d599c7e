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

#include "event.h"
#include "source/connector/proc-event.h"
#include "source/connector/records.h"
#include "source/connector/thread-group.h"

struct groups;

/* The result of an exit. */
struct group_exit {
	struct group *group; /* NULL: of an unknown process */
	bool ended;	     /* it was the group's last one: call group_end(), then groups_remove() */
	bool has_record;
	struct taskstats_record record; /* of the thread */
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
/* groups_have_record() - is there any record of a process with this id whose exit has not come? */
bool groups_have_record(const struct groups *groups, uint32_t tgid);
/*
 * groups_peek() - the record that belongs to an exit, which no message was lost before since one of its process, like its fork
 * Return: NULL if it has not arrived, or may be another process'.
 */
const struct taskstats_record *groups_peek(struct groups *groups, const struct cn_event *since,
					   const struct cn_event *exit);

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

/*
 * groups_settle_replaced() - the same for the group that a fork replaces
 * Return: whether that was done: not if the records may be another process'.
 */
bool groups_settle_replaced(struct groups *groups, struct group *group, const struct cn_event *fork);

/* groups_exit_is_doubtful() - may the record of this exit be of a process that had its pid before? */
bool groups_exit_is_doubtful(struct groups *groups, const struct group *group, const struct cn_event *exit);

/*
 * groups_lost() - messages are missing before the next one, of the time between these
 * Forks may be among them: until the next scan, the counts of processes with threads may be too low.
 */
void groups_lost(struct groups *groups, uint64_t since_nsec, uint64_t nsec);

/* groups_records_lost() - records are missing that were made between these times */
void groups_records_lost(struct groups *groups, uint64_t since_nsec, uint64_t until_nsec);

/*
 * group_is_certain() - is a message of this time and with its tgid about this process? After a loss (@nsec of groups_lost():
 * the latest time of it) its end may be missing, and the fork of another process with its pid. NULL is allowed: yes.
 */
bool group_is_certain(const struct groups *groups, const struct group *group, uint64_t nsec);
/* group_is_younger() - does a message of this time belong to an earlier process with the same tgid? */
bool group_is_younger(const struct group *group, uint64_t nsec);
/* groups_heard_all() - all messages about it were heard: a scan has nothing to add */
bool groups_heard_all(const struct groups *groups, const struct group *group);
/*
 * group_was_seen() - is a process that began before @from_nsec, and that a scan saw at @nsec, this one? One that began with its
 * pid in the same tick, while messages were lost, looks the same.
 */
bool group_was_seen(const struct groups *groups, const struct group *group, uint64_t from_nsec,
		    uint64_t nsec);
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
 * groups_count_begin() - start to count threads by a scan of /proc between these times (CLOCK_MONOTONIC), while events of the
 * same time wait to be published. The count takes these events into account, see thread-count.h. Call groups_count_thread() for
 * each living thread, and groups_count_end() when no event can be older than the scan any more.
 */
void groups_count_begin(struct groups *groups, uint64_t begin_nsec, uint64_t end_nsec);
int groups_count_thread(struct groups *groups, uint32_t tgid, uint32_t tid);
void groups_count_end(struct groups *groups);
bool groups_counting(const struct groups *groups);

/*
 * groups_suspect() - the first group that seems to have ended without its last exit, and is to be checked now
 * It is checked again later, each time after a longer while.
 */
struct group *groups_suspect(struct groups *groups, uint64_t now_nsec);
