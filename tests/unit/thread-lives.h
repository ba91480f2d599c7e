/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The lives of threads as messages and records, for the tests of the code that combines them to processes. Include cmocka.h
 * first.
 */

#include "event.h"
#include "source/connector/thread-groups.h"

#define MSEC UINT64_C(1000000)

static inline int setup(void **state)
{
	return groups_new((struct groups **)state, true);
}

static inline int setup_without_records(void **state)
{
	return groups_new((struct groups **)state, false);
}

static inline int teardown(void **state)
{
	assert_null(groups_free(*state));
	return 0;
}

/* Each event advances the time by a millisecond. */
static uint64_t now = 1000 * MSEC;

static inline uint64_t tick(void)
{
	return now += MSEC;
}

/* A loss that lasted for a millisecond. */
static inline void messages_lost(struct groups *groups, uint64_t nsec)
{
	groups_lost(groups, nsec - MSEC, nsec);
}

static inline void forked(struct groups *groups, uint32_t tgid, uint32_t tid)
{
	struct cn_event event = { .what = PROC_EVENT_FORK, .nsec = tick(), .tgid = tgid, .tid = tid };

	assert_non_null(groups_fork(groups, &event));
}

/* The other fields of a record than its usage, which is one of each for every thread. */
struct record {
	uint32_t tgid, tid, code;
	uint8_t flags;
	uint64_t elapsed_usec, life_usec, rss;
	unsigned int cpu;
	bool has_group;
	uint16_t version;
	const char *comm;
	uint64_t after_nsec; /* 0: now */
};

static inline void recorded(struct groups *groups, struct record from)
{
	struct taskstats_record record = {
		.version = from.version ? from.version : 16,
		.tgid = from.tgid,
		.tid = from.tid,
		.code = from.code,
		.flags = from.flags,
		.elapsed_usec = from.elapsed_usec,
		.life_usec = from.life_usec,
		.usage = { 1, 1, from.rss, 1, 1, 1, 1, 1, 1, 1, 1 },
		.group = { 50, 60, 0, 0, 0, 70, 80, 0, 0, 0, 0 },
		.has_group = from.has_group,
		.cpu = from.cpu,
		.arrival_nsec = now,
		.after_nsec = from.after_nsec ? from.after_nsec : now,
		.heard_nsec = from.after_nsec ? from.after_nsec : now,
		.comm = "name",
		.ppid = 10,
		.uid = 1000,
	};

	if (from.comm)
		strncpy(record.comm, from.comm, sizeof(record.comm) - 1);
	assert_int_equal(groups_record(groups, &record), 0);
}

/* Return: whether the group ended. It is described in @end then, and removed. */
static inline bool exited_code(struct groups *groups, uint32_t tgid, uint32_t tid, uint32_t code,
			       struct group_end *end)
{
	struct cn_event event = {
		.what = PROC_EVENT_EXIT, .nsec = tick(), .tgid = tgid, .tid = tid, .exit = { .code = code }
	};
	struct group_exit exit;

	groups_exit(groups, &event, &exit);
	if (!exit.ended)
		return false;
	assert_non_null(exit.group);
	group_end(groups, exit.group, end);
	groups_remove(groups, exit.group);
	return true;
}

static inline bool exited(struct groups *groups, struct record record, struct group_end *end)
{
	tick();
	recorded(groups, record);
	return exited_code(groups, record.tgid, record.tid, record.code, end);
}

static inline void execed(struct groups *groups, uint32_t tgid)
{
	struct cn_event event = { .what = PROC_EVENT_EXEC, .nsec = tick(), .tgid = tgid, .tid = tgid };

	groups_exec(groups, &event);
}

static inline void assert_end(const struct group_end *end, uint32_t status, uint64_t threads)
{
	assert_true(end->has_status);
	assert_int_equal(end->status, status);
	assert_true(end->has & EVENT_BIT(user_usec));
	assert_true(end->has & EVENT_BIT(minor_faults));
	assert_int_equal(end->usage.user_usec, threads);
	assert_int_equal(end->usage.system_usec, threads);
	assert_int_equal(end->usage.minor_faults, threads);
	assert_int_equal(end->usage.major_faults, threads);
	assert_int_equal(end->usage.voluntary, threads);
	assert_int_equal(end->usage.involuntary, threads);
	assert_int_equal(end->usage.read_bytes, threads);
	assert_int_equal(end->usage.write_bytes, threads);
	assert_int_equal(end->usage.read_chars, threads);
	assert_int_equal(end->usage.write_chars, threads);
}

static inline void assert_empty(const struct groups *groups)
{
	assert_int_equal(groups_count(groups), 0);
	assert_int_equal(groups_records(groups), 0);
	assert_int_equal(groups_ending(groups), 0);
}
