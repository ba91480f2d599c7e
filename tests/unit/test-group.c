// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event.h"
#include "source/group.h"

#define MSEC UINT64_C(1000000)

static int setup(void **state)
{
	return groups_new((struct groups **)state, true);
}

static int setup_without_records(void **state)
{
	return groups_new((struct groups **)state, false);
}

static int teardown(void **state)
{
	assert_null(groups_free(*state));
	return 0;
}

/* Time goes on by a millisecond with each thing that happens. */
static uint64_t now = 1000 * MSEC;

static uint64_t tick(void)
{
	return now += MSEC;
}

static void forked(struct groups *groups, uint32_t tgid, uint32_t tid)
{
	struct cn_event event = { .what = PROC_EVENT_FORK, .nsec = tick(), .tgid = tgid, .tid = tid };

	assert_non_null(groups_fork(groups, &event));
}

/* What a record says beside its usage, which is one of each for every thread. */
struct record {
	uint32_t tgid, tid, code;
	uint8_t flags;
	uint64_t elapsed_usec, rss;
	unsigned int cpu;
	bool has_group;
	uint16_t version;
};

static void recorded(struct groups *groups, struct record from)
{
	struct taskstats_record record = {
		.version = from.version ? from.version : 16,
		.tgid = from.tgid,
		.tid = from.tid,
		.code = from.code,
		.flags = from.flags,
		.elapsed_usec = from.elapsed_usec,
		.usage = { 1, 1, from.rss, 1, 1, 1, 1, 1, 1, 1, 1 },
		.group = { 50, 60, 0, 0, 0, 70, 80, 0, 0, 0, 0 },
		.has_group = from.has_group,
		.cpu = from.cpu,
		.arrival_nsec = now,
		.comm = "name",
		.ppid = 10,
		.uid = 1000,
	};

	assert_int_equal(groups_record(groups, &record), 0);
}

/* Return: whether the group ended. It is described in @end then, and removed. */
static bool exited_code(struct groups *groups, uint32_t tgid, uint32_t tid, uint32_t code,
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

static bool exited(struct groups *groups, struct record record, struct group_end *end)
{
	tick();
	recorded(groups, record);
	return exited_code(groups, record.tgid, record.tid, record.code, end);
}

static void execed(struct groups *groups, uint32_t tgid)
{
	struct cn_event event = { .what = PROC_EVENT_EXEC, .nsec = tick(), .tgid = tgid, .tid = tgid };

	groups_exec(groups, &event);
}

static void assert_end(const struct group_end *end, uint32_t status, uint64_t threads)
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

static void assert_empty(const struct groups *groups)
{
	assert_int_equal(groups_count(groups), 0);
	assert_int_equal(groups_records(groups), 0);
	assert_int_equal(groups_ending(groups), 0);
}

static void test_single(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	assert_true(exited(
		groups,
		(struct record){ .tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP, .rss = 40 },
		&end));
	assert_end(&end, 0x300, 1);
	assert_int_equal(end.usage.max_rss_kib, 40);
	assert_true(end.has_task);
	assert_string_equal(end.comm, "name");
	assert_int_equal(end.ppid, 10);
	assert_int_equal(end.uid, 1000);
	assert_empty(groups);
}

/* The order that matters is the queue's: a record is there before its exit, also when its fork is not told yet. */
static void test_record_before_fork(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	now += 5 * MSEC;
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AGROUP });
	now -= 5 * MSEC;
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0, &end));
	assert_end(&end, 0, 1);
	assert_empty(groups);
}

static void test_leader_first(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	forked(groups, 20, 22);
	assert_false(
		exited(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x500, .rss = 30 }, &end));
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 22, .code = 0, .rss = 50 }, &end));
	assert_true(exited(groups,
			   (struct record){ .tgid = 20,
					    .tid = 21,
					    .code = 0x700,
					    .flags = TASKSTATS_AGROUP,
					    .rss = 40,
					    .has_group = true },
			   &end));
	assert_end(&end, 0x700, 3);
	assert_int_equal(end.usage.max_rss_kib, 50);
	assert_empty(groups);
}

/* The flagged record is not always the last one, nor is its thread's exit. */
static void test_record_after_the_last(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_int_equal(groups_ending(groups), 1);
	assert_true(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0 }, &end));
	assert_end(&end, 0x100, 2);
	assert_empty(groups);
}

/* The leader dies, the thread takes its id: that exits twice, the thread's own never. */
static void test_exec_by_thread(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(
		groups,
		(struct record){ .tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AXSIG, .rss = 900 },
		&end));
	execed(groups, 20);
	assert_true(exited(groups,
			   (struct record){ .tgid = 20,
					    .tid = 20,
					    .code = 0x400,
					    .flags = TASKSTATS_AGROUP,
					    .rss = 7,
					    .has_group = true },
			   &end));
	assert_end(&end, 0x400, 2);
	assert_int_equal(end.usage.max_rss_kib, 7);
	assert_empty(groups);
}

/* Rarely the old leader's exit carries the id that the thread had; its record does not. */
static void test_exec_by_thread_swapped(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	recorded(groups,
		 (struct record){ .tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AXSIG, .rss = 900 });
	assert_false(exited_code(groups, 20, 21, 0, &end));
	execed(groups, 20);
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 20, .code = 0x400, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_end(&end, 0x400, 2);
	assert_empty(groups);
}

/* An exec's victim may be told after the exec: its memory was the old program's. */
static void test_exec_late_victim(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	execed(groups, 20);
	assert_false(exited(
		groups,
		(struct record){ .tgid = 20, .tid = 21, .code = 0, .flags = TASKSTATS_AXSIG, .rss = 900 },
		&end));
	assert_true(exited(
		groups,
		(struct record){ .tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AGROUP, .rss = 7 },
		&end));
	assert_end(&end, 0, 2);
	assert_int_equal(end.usage.max_rss_kib, 7);
}

/* Only the memory of the last program counts. */
static void test_exec_memory(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(
		exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0, .rss = 262728 }, &end));
	execed(groups, 20);
	assert_true(exited(
		groups,
		(struct record){ .tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AGROUP, .rss = 996 },
		&end));
	assert_int_equal(end.usage.max_rss_kib, 996);
}

/* Only the thread that dumps has the bit, and it need not be the one that is flagged. */
static void test_core_of_many(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	forked(groups, 20, 22);
	assert_false(exited(groups,
			    (struct record){ .tgid = 20, .tid = 20, .code = 0x0b, .flags = TASKSTATS_AXSIG },
			    &end));
	assert_false(exited(groups,
			    (struct record){ .tgid = 20, .tid = 21, .code = 0x8b, .flags = TASKSTATS_AXSIG },
			    &end));
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 22, .code = 0x0b, .flags = TASKSTATS_AXSIG | TASKSTATS_AGROUP },
		&end));
	assert_end(&end, 0x8b, 3);
}

/* io_uring's helper thread is killed without a signal, may be the last, and then has the flag. */
static void test_code_of_helper(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x200 }, &end));
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 21, .code = 0, .flags = TASKSTATS_AXSIG | TASKSTATS_AGROUP },
		&end));
	assert_end(&end, 0x200, 2);

	forked(groups, 30, 30);
	forked(groups, 30, 31);
	assert_false(exited(
		groups,
		(struct record){
			.tgid = 30, .tid = 31, .code = 0, .flags = TASKSTATS_AXSIG | TASKSTATS_AGROUP },
		&end));
	assert_true(exited(groups, (struct record){ .tgid = 30, .tid = 30, .code = 0x200 }, &end));
	assert_end(&end, 0x200, 2);
}

/* Code 9 is no signal where a program ends itself with it: 0x900 is. And a thread's own code is not the process'. */
static void test_code_of_signal(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(groups,
			    (struct record){ .tgid = 20, .tid = 21, .code = 0x0f, .flags = TASKSTATS_AXSIG },
			    &end));
	assert_true(exited(groups,
			   (struct record){ .tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AGROUP },
			   &end));
	assert_end(&end, 0x0f, 2);

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0x100 }, &end));
	assert_true(exited(groups,
			   (struct record){ .tgid = 20, .tid = 20, .code = 0x200, .flags = TASKSTATS_AGROUP },
			   &end));
	assert_end(&end, 0x200, 2);
}

/* One pid twice within a batch: both records wait, in whatever order the CPUs' sockets were read. */
static void test_pid_reuse(void **state)
{
	const struct record first = { .tgid = 20,
				      .tid = 20,
				      .code = 0x100,
				      .flags = TASKSTATS_AGROUP,
				      .elapsed_usec = 3000,
				      .cpu = 1 },
			    second = { .tgid = 20,
				       .tid = 20,
				       .code = 0x200,
				       .flags = TASKSTATS_AGROUP,
				       .elapsed_usec = 500,
				       .cpu = 0 },
			    longer = { .tgid = 20,
				       .tid = 20,
				       .code = 0x200,
				       .flags = TASKSTATS_AGROUP,
				       .elapsed_usec = 90000,
				       .cpu = 0 };
	struct groups *groups = *state;
	struct group_end end;

	now += 100 * MSEC;
	recorded(groups, second);
	recorded(groups, first);
	now -= 100 * MSEC;
	forked(groups, 20, 20);
	now += 2 * MSEC;
	assert_true(exited_code(groups, 20, 20, 0x100, &end));
	assert_end(&end, 0x100, 1);
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0x200, &end));
	assert_end(&end, 0x200, 1);
	assert_empty(groups);

	now += 200 * MSEC;
	recorded(groups, longer);
	recorded(groups, first);
	now -= 200 * MSEC;
	forked(groups, 20, 20);
	now += 2 * MSEC;
	assert_true(exited_code(groups, 20, 20, 0x100, &end));
	assert_end(&end, 0x100, 1);
	forked(groups, 20, 20);
	now += 90 * MSEC;
	assert_true(exited_code(groups, 20, 20, 0x200, &end));
	assert_end(&end, 0x200, 1);
	assert_empty(groups);
}

/* What one CPU told came in order. */
static void test_pid_reuse_one_cpu(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	now += 100 * MSEC;
	recorded(groups, (struct record){ .tgid = 20,
					  .tid = 20,
					  .code = 0x100,
					  .flags = TASKSTATS_AGROUP,
					  .elapsed_usec = 500,
					  .rss = 1 });
	recorded(groups, (struct record){ .tgid = 20,
					  .tid = 20,
					  .code = 0x200,
					  .flags = TASKSTATS_AGROUP,
					  .elapsed_usec = 900,
					  .rss = 2 });
	now -= 100 * MSEC;
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0x100, &end));
	assert_end(&end, 0x100, 1);
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0x200, &end));
	assert_end(&end, 0x200, 1);
}

/* The exit was lost: the record is not taken for one of the next process with that pid. */
static void test_stale_record(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP });
	tick();
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0x200, &end));
	assert_int_equal(end.status, 0x200);
	assert_int_equal(end.has, 0);
	assert_empty(groups);

	recorded(groups, (struct record){ .tgid = 30, .tid = 30 });
	groups_expire(groups, now);
	assert_int_equal(groups_records(groups), 1);
	groups_expire(groups, now + 1);
	assert_int_equal(groups_records(groups), 0);
}

/* Rather nothing than too little. */
static void test_missing_record(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited_code(groups, 20, 21, 0, &end));
	assert_true(exited(groups,
			   (struct record){ .tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP },
			   &end));
	assert_true(end.has_status);
	assert_int_equal(end.status, 0x100);
	assert_int_equal(end.has, 0);
	assert_empty(groups);
}

/* Before version 12 a record names its thread alone. */
static void test_old_records(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	recorded(groups, (struct record){ .tgid = 0, .tid = 21, .code = 0, .version = 10 });
	recorded(groups, (struct record){ .tgid = 0, .tid = 20, .code = 0x100, .version = 10 });
	assert_false(exited_code(groups, 20, 20, 0x100, &end));
	assert_true(exited_code(groups, 20, 21, 0, &end));
	assert_true(end.has & EVENT_BIT(user_usec));
	assert_int_equal(end.usage.user_usec, 2);
	assert_empty(groups);
}

static void test_without_records(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited_code(groups, 20, 20, 0x500, &end));
	assert_true(exited_code(groups, 20, 21, 0x700, &end));
	assert_int_equal(end.status, 0x700);
	assert_int_equal(end.has, 0);
	assert_false(end.has_task);

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited_code(groups, 20, 21, 0x8b, &end));
	assert_true(exited_code(groups, 20, 20, 0x0b, &end));
	assert_int_equal(end.status, 0x8b);

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited_code(groups, 20, 21, 0x09, &end));
	assert_true(exited_code(groups, 20, 20, 0, &end));
	assert_int_equal(end.status, 0x09);
	assert_empty(groups);
}

/* Older than the source: counted by a scan, while messages of the same time wait. */
static void test_adopted(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	groups_count_begin(groups);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	assert_int_equal(groups_count_thread(groups, 20, 21), 0);
	assert_int_equal(groups_count_thread(groups, 20, 23), 0);
	assert_int_equal(groups_find(groups, 20)->alive, 3);

	/* Forked before it was counted. */
	forked(groups, 20, 21);
	assert_int_equal(groups_find(groups, 20)->alive, 3);
	/* Came and went before. */
	forked(groups, 20, 22);
	assert_int_equal(groups_find(groups, 20)->alive, 4);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 22, .code = 0 }, &end));
	/* Forked before we listened, gone when the scan came. */
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 24, .code = 0 }, &end));
	assert_int_equal(groups_find(groups, 20)->alive, 3);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0 }, &end));
	groups_count_end(groups);
	assert_false(groups_counting(groups));

	/* From here on all are counted. */
	forked(groups, 20, 25);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 25, .code = 0 }, &end));
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 23, .code = 0 }, &end));
	assert_true(exited(groups,
			   (struct record){ .tgid = 20,
					    .tid = 20,
					    .code = 0x100,
					    .flags = TASKSTATS_AGROUP,
					    .rss = 9,
					    .has_group = true },
			   &end));
	/* What threads used that ended before is in the kernel's sums alone. */
	assert_int_equal(end.status, 0x100);
	assert_int_equal(end.has, EVENT_BIT(user_usec) | EVENT_BIT(system_usec) |
					  EVENT_BIT(voluntary_switches) | EVENT_BIT(involuntary_switches) |
					  EVENT_BIT(max_rss_kib));
	assert_int_equal(end.usage.user_usec, 50);
	assert_int_equal(end.usage.system_usec, 60);
	assert_int_equal(end.usage.voluntary, 70);
	assert_int_equal(end.usage.involuntary, 80);
	assert_int_equal(end.usage.max_rss_kib, 9);
	assert_empty(groups);
}

/* Kernels before version 16 left threads that had ended out of their sums. */
static void test_adopted_old(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	groups_adopt(groups, 20, 2, 0);
	assert_false(
		exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0, .version = 14 }, &end));
	assert_true(exited(groups,
			   (struct record){ .tgid = 20,
					    .tid = 20,
					    .code = 0,
					    .flags = TASKSTATS_AGROUP,
					    .has_group = true,
					    .version = 14 },
			   &end));
	assert_int_equal(end.has, EVENT_BIT(max_rss_kib));
}

/* One that has always had a single thread has told all by its only record. */
static void test_adopted_single(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	groups_adopt(groups, 20, 1, 0);
	assert_true(exited(groups,
			   (struct record){ .tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP },
			   &end));
	assert_end(&end, 0x100, 1);
}

/* Forked after we listened, and counted all the same: everything of it was heard. */
static void test_counted_and_forked(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	groups_count_begin(groups);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	assert_int_equal(groups_count_thread(groups, 20, 21), 0);
	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_int_equal(groups_find(groups, 20)->alive, 2);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0 }, &end));
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_end(&end, 0, 2);
}

/* A pid that was used twice while it was counted once. */
static void test_counted_and_reused(void **state)
{
	struct groups *groups = *state;
	struct cn_event early = { .what = PROC_EVENT_EXIT, .tgid = 20, .tid = 20, .nsec = now };
	struct group_exit exit;
	struct group_end end;

	now += 100 * MSEC;
	groups_count_begin(groups);
	groups_adopt(groups, 20, 0, now);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	/* That of the first one, of which nothing is known. */
	groups_exit(groups, &early, &exit);
	assert_null(exit.group);
	early.what = PROC_EVENT_FORK;
	assert_non_null(groups_fork(groups, &early));
	assert_int_equal(groups_find(groups, 20)->alive, 1);
	assert_int_equal(groups_find(groups, 20)->fork_nsec, 0);
	forked(groups, 20, 20);
	assert_int_equal(groups_find(groups, 20)->alive, 1);
	groups_count_end(groups);
	assert_true(exited(groups,
			   (struct record){ .tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AGROUP },
			   &end));
	assert_end(&end, 0, 1);
}

/* A thread execs while it is counted by its old id. */
static void test_counted_and_exec(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	groups_count_begin(groups);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	assert_int_equal(groups_count_thread(groups, 20, 21), 0);
	assert_false(exited(
		groups, (struct record){ .tgid = 20, .tid = 20, .code = 0, .flags = TASKSTATS_AXSIG }, &end));
	execed(groups, 20);
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_int_equal(end.status, 0x100);
	assert_int_equal(groups_count(groups), 0);
}

/* A scan that does not find a group leaves its count alone: its exits may be told still. */
static void test_missing_in_scan(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	groups_count_begin(groups);
	groups_find(groups, 20)->missing = true;
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0 }, &end));
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_end(&end, 0x100, 2);
}

/* The last exit was lost: the fork of the next one shows it, and what was certain is told. */
static void test_replaced(void **state)
{
	struct cn_event fork = { .what = PROC_EVENT_FORK, .tgid = 20, .tid = 20 };
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0x100 }, &end));
	assert_ptr_equal(groups_replaced(groups, &fork), groups_find(groups, 20));
	group_end(groups, groups_find(groups, 20), &end);
	assert_false(end.has_status);
	assert_int_equal(end.has, 0);
	fork.tid = 21;
	assert_null(groups_replaced(groups, &fork));
}

/* The exits were lost, the records were not. */
static void test_settle(void **state)
{
	struct groups *groups = *state;
	struct group_end end;
	struct group *group;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	group = groups_find(groups, 20);
	recorded(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0x100 });
	groups_settle(groups, group, tick());
	assert_int_equal(group->alive, 1);
	group_end(groups, group, &end);
	assert_false(end.has_status);
	assert_int_equal(end.has, 0);
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x200, .flags = TASKSTATS_AGROUP });
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP });
	groups_settle(groups, group, tick());
	group_end(groups, group, &end);
	assert_end(&end, 0x200, 2);
	/* That of the next one with this pid is left alone. */
	assert_int_equal(groups_records(groups), 1);
}

/* A record is kept for as long as its process lives: freeing much memory takes its time. */
static void test_expire(void **state)
{
	struct groups *groups = *state;

	recorded(groups, (struct record){ .tgid = 20, .tid = 20 });
	tick();
	forked(groups, 20, 20);
	recorded(groups, (struct record){ .tgid = 20, .tid = 20 });
	recorded(groups, (struct record){ .tgid = 30, .tid = 30 });
	groups_expire(groups, now + 1);
	assert_int_equal(groups_records(groups), 1);
	groups_remove(groups, groups_find(groups, 20));
	groups_expire(groups, now + 1);
	assert_int_equal(groups_records(groups), 0);
}

/* A group whose end was announced and does not come is checked, ever more rarely. */
static void test_suspects(void **state)
{
	struct groups *groups = *state;
	struct group_end end;
	uint64_t seen;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_null(groups_suspect(groups, now + 100000 * MSEC));
	assert_false(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 20, .code = 0x0f, .flags = TASKSTATS_AXSIG | TASKSTATS_AGROUP },
		&end));
	seen = now;
	assert_null(groups_suspect(groups, seen + 500 * MSEC));
	assert_ptr_equal(groups_suspect(groups, seen + 1500 * MSEC), groups_find(groups, 20));
	assert_null(groups_suspect(groups, seen + 1500 * MSEC));
	assert_null(groups_suspect(groups, seen + 3000 * MSEC));
	assert_ptr_equal(groups_suspect(groups, seen + 5000 * MSEC), groups_find(groups, 20));
	group_end(groups, groups_find(groups, 20), &end);
	assert_true(end.has_status);
	assert_int_equal(end.status, 0x0f);
	groups_remove(groups, groups_find(groups, 20));
	assert_empty(groups);

	/* A leader that ends first announces nothing where records tell. */
	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0 }, &end));
	assert_int_equal(groups_ending(groups), 0);
}

/* Nothing is known of it but its end. */
static void test_stray(void **state)
{
	struct cn_event event = { .what = PROC_EVENT_EXIT, .nsec = now, .tgid = 20, .tid = 20 };
	struct groups *groups = *state;
	struct group_exit exit;
	struct group_end end;

	recorded(groups, (struct record){
				 .tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP, .rss = 5 });
	groups_exit(groups, &event, &exit);
	assert_null(exit.group);
	assert_false(exit.ended);
	assert_true(exit.has_record);
	group_end_stray(&exit, &end);
	assert_end(&end, 0x100, 1);
	/* Of several threads this is only the last. */
	exit.record.has_group = true;
	group_end_stray(&exit, &end);
	assert_false(end.has_status);
	assert_int_equal(end.has, 0);
	assert_empty(groups);
}

static void test_many(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	for (uint32_t i = 1; i <= 5000; i++)
		forked(groups, i, i);
	for (uint32_t i = 1; i <= 5000; i++)
		recorded(groups,
			 (struct record){
				 .tgid = i, .tid = i, .code = i << 8 & 0xff00, .flags = TASKSTATS_AGROUP });
	for (uint32_t i = 5000; i > 0; i--) {
		assert_true(exited_code(groups, i, i, i << 8 & 0xff00, &end));
		assert_end(&end, i << 8 & 0xff00, 1);
	}
	assert_empty(groups);
}

int main(void)
{
#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_single),
		TEST(test_record_before_fork),
		TEST(test_leader_first),
		TEST(test_record_after_the_last),
		TEST(test_exec_by_thread),
		TEST(test_exec_by_thread_swapped),
		TEST(test_exec_late_victim),
		TEST(test_exec_memory),
		TEST(test_core_of_many),
		TEST(test_code_of_helper),
		TEST(test_code_of_signal),
		TEST(test_pid_reuse),
		TEST(test_pid_reuse_one_cpu),
		TEST(test_stale_record),
		TEST(test_missing_record),
		TEST(test_old_records),
		TEST(test_adopted),
		TEST(test_adopted_old),
		TEST(test_adopted_single),
		TEST(test_counted_and_forked),
		TEST(test_counted_and_reused),
		TEST(test_counted_and_exec),
		TEST(test_missing_in_scan),
		TEST(test_replaced),
		TEST(test_settle),
		TEST(test_expire),
		TEST(test_suspects),
		TEST(test_stray),
		TEST(test_many),
		cmocka_unit_test_setup_teardown(test_without_records, setup_without_records, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
