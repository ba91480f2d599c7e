// SPDX-License-Identifier: LGPL-2.1-or-later
/* Thread groups with missing messages: older than the source, or messages were lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/thread-lives.h"

/* Older than the source: counted by a scan, while messages of the same time wait. */
static void test_adopted(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	groups_count_begin(groups, 0, UINT64_MAX);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	assert_int_equal(groups_count_thread(groups, 20, 21), 0);
	assert_int_equal(groups_count_thread(groups, 20, 23), 0);
	assert_int_equal(groups_find(groups, 20)->alive, 3);

	/* Forked before it was counted. */
	forked(groups, 20, 21);
	assert_int_equal(groups_find(groups, 20)->alive, 3);
	/* Started and ended before. */
	forked(groups, 20, 22);
	assert_int_equal(groups_find(groups, 20)->alive, 4);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 22, .code = 0 }, &end));
	/* Forked before the source listened, and ended before the scan. */
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
	/* The usage of threads that ended before is only in the kernel's sums. */
	assert_int_equal(end.status, 0x100);
	assert_true(end.has ==
		    (EVENT_BIT(user_usec) | EVENT_BIT(system_usec) | EVENT_BIT(voluntary_switches) |
		     EVENT_BIT(involuntary_switches) | EVENT_BIT(max_rss_kib)));
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
	assert_true(end.has == EVENT_BIT(max_rss_kib));
}

/* A process that always had a single thread is complete with its only record. */
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

/* Forked after the source listened, and also counted: none of its messages is missing. */
static void test_counted_and_forked(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	groups_count_begin(groups, 0, UINT64_MAX);
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
	groups_count_begin(groups, 0, UINT64_MAX);
	groups_adopt(groups, 20, 0, now);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	/* The exit of the first one, of which nothing is known. */
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

	groups_count_begin(groups, 0, UINT64_MAX);
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

/*
 * A thread was gone when the scan came, and its exit is behind that of another one, which the scan still saw: the process ends
 * once, with the status of the last.
 */
static void test_counted_too_few(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	groups_count_begin(groups, 0, UINT64_MAX);
	groups_adopt(groups, 20, 0, 0);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x500 }, &end));
	assert_int_equal(groups_find(groups, 20)->alive, 0);
	/* If the rest is lost, this is detected. */
	assert_int_equal(groups_ending(groups), 1);
	group_end(groups, groups_find(groups, 20), &end);
	assert_false(end.has_status);
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 21, .code = 0x700, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_int_equal(end.status, 0x700);
	assert_empty(groups);
}

/* Forks were lost: a thread that comes and goes does not end its process, nor do more than were counted. */
static void test_lost_forks(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 24);
	assert_int_equal(groups_find(groups, 20)->alive, 2);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 24, .code = 0 }, &end));
	assert_int_equal(groups_ending(groups), 0);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 23, .code = 0 }, &end));
	assert_int_equal(groups_find(groups, 20)->alive, 0);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 22, .code = 0 }, &end));
	assert_int_equal(groups_ending(groups), 1);
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_int_equal(end.status, 0x300);
	/* Of the threads before, nothing is known. */
	assert_false(end.has & EVENT_BIT(minor_faults));
	assert_empty(groups);

	/* The leader's is known, a thread's was lost. */
	forked(groups, 30, 30);
	assert_false(exited(groups, (struct record){ .tgid = 30, .tid = 30, .code = 0 }, &end));
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 30, .tid = 31, .code = 0x300, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_int_equal(end.status, 0x300);
	assert_empty(groups);
}

/* The exit of a thread was processed before a scan that still sees the thread, and its id is used again after that. */
static void test_scan_sees_exited_thread(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited_code(groups, 20, 21, 0, &end));
	groups_count_begin(groups, 0, UINT64_MAX);
	groups_adopt(groups, 20, 0, 0);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	assert_int_equal(groups_count_thread(groups, 20, 21), 0);
	groups_count_end(groups);
	assert_int_equal(groups_find(groups, 20)->alive, 1);

	forked(groups, 20, 21);
	groups_count_begin(groups, 0, UINT64_MAX);
	groups_adopt(groups, 20, 0, 0);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	assert_int_equal(groups_count_thread(groups, 20, 21), 0);
	groups_count_end(groups);
	assert_int_equal(groups_find(groups, 20)->alive, 2);
	assert_false(exited_code(groups, 20, 21, 0, &end));
	assert_true(exited(groups,
			   (struct record){ .tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP },
			   &end));
	assert_int_equal(end.status, 0x100);
	assert_empty(groups);
}

/* Both messages and records were lost: where there may be more threads, /proc is asked. */
static void test_lost_forks_and_records(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	forked(groups, 30, 30);
	messages_lost(groups, tick());
	forked(groups, 40, 40);
	forked(groups, 40, 41);
	assert_false(exited_code(groups, 20, 21, 0, &end));
	assert_false(exited_code(groups, 20, 22, 0, &end));
	assert_int_equal(groups_ending(groups), 1);
	/* A scan can count too few. */
	groups_count_begin(groups, now, now + MSEC);
	groups_adopt(groups, 20, 0, 0);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	groups_count_end(groups);
	assert_false(exited_code(groups, 20, 20, 0x100, &end));
	groups_remove(groups, groups_suspect(groups, now + 100 * MSEC));

	/* One whose threads may be unknown; one that is younger than the loss. */
	assert_false(exited_code(groups, 30, 30, 0x200, &end));
	assert_ptr_equal(groups_suspect(groups, now + 100 * MSEC), groups_find(groups, 30));
	group_end(groups, groups_find(groups, 30), &end);
	assert_false(end.has_status);
	groups_remove(groups, groups_find(groups, 30));
	assert_false(exited_code(groups, 40, 40, 0x300, &end));
	assert_true(exited_code(groups, 40, 41, 0x300, &end));
	assert_int_equal(end.status, 0x300);
	assert_empty(groups);
}

/* Without records it is unknown which thread is the last: /proc is read. */
static void test_lost_forks_without_records(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 23);
	assert_false(exited_code(groups, 20, 23, 0, &end));
	assert_int_equal(groups_ending(groups), 0);
	assert_false(exited_code(groups, 20, 22, 0, &end));
	assert_ptr_equal(groups_suspect(groups, now + 1500 * MSEC), groups_find(groups, 20));
	groups_remove(groups, groups_find(groups, 20));
	assert_empty(groups);
}

/* A scan that does not find a group leaves its count alone: its exits may be reported still. */
static void test_missing_in_scan(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	groups_count_begin(groups, 0, UINT64_MAX);
	groups_find(groups, 20)->missing = groups_find(groups, 20)->old_count = true;
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0 }, &end));
	assert_true(exited(
		groups,
		(struct record){
			.tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP, .has_group = true },
		&end));
	assert_end(&end, 0x100, 2);
}

/* The last exit was lost: the fork of the next one shows it, and what was certain is reported. */
static void test_replaced(void **state)
{
	struct cn_event fork = { .what = PROC_EVENT_FORK, .tgid = 20, .tid = 20 };
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0x100 }, &end));
	fork.nsec = tick();
	assert_ptr_equal(groups_replaced(groups, &fork), groups_find(groups, 20));
	group_end(groups, groups_find(groups, 20), &end);
	assert_false(end.has_status);
	assert_true(end.has == 0);
	fork.tid = 21;
	assert_null(groups_replaced(groups, &fork));
}

/* After a loss a message may be about another process with the same pid, until /proc shows that it is not. */
static void test_certain(void **state)
{
	struct groups *groups = *state;
	uint64_t fork, lost, later;
	struct group *group;

	fork = tick();
	forked(groups, 20, 20);
	group = groups_find(groups, 20);
	later = tick() + 1;
	assert_true(group_is_certain(groups, group, later));
	assert_false(group_is_certain(groups, group, fork));
	lost = tick();
	messages_lost(groups, lost);
	assert_false(group_is_certain(groups, group, tick()));
	group_is_known(group, tick());
	assert_true(group_is_certain(groups, group, tick()));
	assert_true(group_is_certain(groups, group, later));
	assert_true(group_is_certain(groups, NULL, fork));
}

/* A parent can wait for a process, and its pid be used again, before the kernel reports the exit. */
static void test_late_exit_of_replaced(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	for (int ghost = 0; ghost < 2; ghost++) {
		struct cn_event fork = { .what = PROC_EVENT_FORK, .tgid = 20, .tid = 20 };

		forked(groups, 20, 20);
		fork.nsec = tick();
		groups_remove(groups, groups_replaced(groups, &fork));
		groups_fork(groups, &fork);
		if (ghost)
			assert_false(exited_code(groups, 20, 20, 0x300, &end));
		assert_true(exited(
			groups,
			(struct record){ .tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP },
			&end));
		assert_end(&end, 0x100, 1);
	}
	assert_empty(groups);
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
	assert_int_equal(group->alive, 2);
	group_end(groups, group, &end);
	assert_false(end.has_status);
	assert_true(end.has == 0);
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x200, .flags = TASKSTATS_AGROUP });
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP });
	groups_settle(groups, group, tick());
	group_end(groups, group, &end);
	assert_end(&end, 0x200, 2);
	/* The exit of the next process with this pid is not used. */
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
	assert_null(groups_suspect(groups, seen + 30 * MSEC));
	assert_ptr_equal(groups_suspect(groups, seen + 100 * MSEC), groups_find(groups, 20));
	assert_null(groups_suspect(groups, seen + 100 * MSEC));
	assert_null(groups_suspect(groups, seen + 290 * MSEC));
	assert_ptr_equal(groups_suspect(groups, seen + 310 * MSEC), groups_find(groups, 20));
	group_end(groups, groups_find(groups, 20), &end);
	assert_true(end.has_status);
	assert_int_equal(end.status, 0x0f);
	groups_remove(groups, groups_find(groups, 20));
	assert_empty(groups);

	/* If there are records, the exit of a leader that ends first announces nothing. */
	forked(groups, 20, 20);
	forked(groups, 20, 21);
	assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0 }, &end));
	assert_int_equal(groups_ending(groups), 0);
}

/* Only its end is known. */
static void test_stray(void **state)
{
	struct cn_event event = {
		.what = PROC_EVENT_EXIT, .nsec = now, .tgid = 20, .tid = 20, .exit = { .code = 0x100 }
	};
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
	assert_true(end.has == 0);
	assert_empty(groups);
}

int main(void)
{
#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_adopted),
		TEST(test_adopted_old),
		TEST(test_adopted_single),
		TEST(test_counted_and_forked),
		TEST(test_counted_and_reused),
		TEST(test_counted_and_exec),
		TEST(test_counted_too_few),
		TEST(test_lost_forks),
		TEST(test_scan_sees_exited_thread),
		TEST(test_lost_forks_and_records),
		cmocka_unit_test_setup_teardown(test_lost_forks_without_records, setup_without_records,
						teardown),
		TEST(test_missing_in_scan),
		TEST(test_replaced),
		TEST(test_certain),
		TEST(test_late_exit_of_replaced),
		TEST(test_settle),
		TEST(test_expire),
		TEST(test_suspects),
		TEST(test_stray),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
