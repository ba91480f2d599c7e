// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/thread-lives.h"

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

/* The order of the queue counts: a record is there before its exit, even if its fork is not reported yet. */
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

/* An exec's victim may be reported after the exec: its memory was the old program's. */
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
/* Which of two threads began its end last is not known if both ended at once. */
static void test_code_in_doubt(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	for (int apart = 0; apart < 2; apart++) {
		forked(groups, 20, 20);
		forked(groups, 20, 21);
		assert_false(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0x500 }, &end));
		now += apart * 1000 * MSEC;
		assert_true(exited(groups,
				   (struct record){ .tgid = 20,
						    .tid = 20,
						    .code = 0x700,
						    .flags = TASKSTATS_AGROUP,
						    .has_group = true },
				   &end));
		assert_end(&end, 0x700, 2);
		assert_int_equal(end.in_doubt, !apart);
		assert_int_equal(end.raced, !apart);
	}
	assert_empty(groups);
}

/*
 * A worker of io_uring: killed by exit_group(2), or the last one to begin its end after exit(2) of the program's thread, or too
 * young to take the signal.
 */
static void test_code_of_worker(void **state)
{
	const struct {
		uint8_t flags;
		uint64_t elapsed_usec;
		uint32_t status;
		bool in_doubt, raced;
	} cases[] = {
		{ TASKSTATS_AXSIG, 90000, 0x700, false, false },
		{ 0, 90000, 0, true, false },
		{ 0, 100, 0, true, true },
		{ 0, 5000000, 0, true, true },
	};
	struct groups *groups = *state;
	struct group_end end;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		forked(groups, 20, 20);
		forked(groups, 20, 21);
		now += 6000 * MSEC;
		assert_false(exited(groups,
				    (struct record){ .tgid = 20,
						     .tid = 21,
						     .comm = "iou-wrk-20",
						     .flags = cases[i].flags,
						     .elapsed_usec = cases[i].elapsed_usec },
				    &end));
		assert_true(exited(groups,
				   (struct record){ .tgid = 20,
						    .tid = 20,
						    .code = 0x700,
						    .flags = TASKSTATS_AGROUP,
						    .has_group = true },
				   &end));
		assert_end(&end, cases[i].status, 2);
		assert_int_equal(end.in_doubt, cases[i].in_doubt);
		assert_int_equal(end.raced, cases[i].raced);
	}
	assert_empty(groups);
}

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

/* What one CPU sent came in order. */
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

/* Two of one pid whose lives were as long, read in the wrong order: each exit has its own code. */
static void test_pid_reuse_by_code(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	now += 100 * MSEC;
	recorded(groups, (struct record){ .tgid = 20,
					  .tid = 20,
					  .code = 0x200,
					  .flags = TASKSTATS_AGROUP,
					  .elapsed_usec = 990,
					  .rss = 2 });
	recorded(groups, (struct record){ .tgid = 20,
					  .tid = 20,
					  .code = 0x100,
					  .flags = TASKSTATS_AGROUP,
					  .elapsed_usec = 500,
					  .rss = 1,
					  .cpu = 1 });
	now -= 100 * MSEC;
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0x100, &end));
	assert_end(&end, 0x100, 1);
	assert_int_equal(end.usage.max_rss_kib, 1);
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0x200, &end));
	assert_end(&end, 0x200, 1);
	assert_int_equal(end.usage.max_rss_kib, 2);
	assert_empty(groups);
}

/* The parent lost its CPU before it reported the fork: the record reports a longer life than the messages. */
static void test_late_fork(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	assert_true(exited(
		groups,
		(struct record){ .tgid = 20, .tid = 20, .flags = TASKSTATS_AGROUP, .elapsed_usec = 60000 },
		&end));
	assert_end(&end, 0, 1);
	/* But not the record of another process. */
	forked(groups, 20, 20);
	assert_true(exited(
		groups,
		(struct record){ .tgid = 20, .tid = 20, .flags = TASKSTATS_AGROUP, .elapsed_usec = 600000 },
		&end));
	assert_true(end.has == 0);
}

/* The exit was lost: the record is not used for the next process with that pid. */
static void test_stale_record(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP });
	tick();
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0x200, &end));
	assert_int_equal(end.status, 0x200);
	assert_true(end.has == 0);
	assert_empty(groups);

	recorded(groups, (struct record){ .tgid = 30, .tid = 30 });
	groups_expire(groups, now);
	assert_int_equal(groups_records(groups), 1);
	groups_expire(groups, now + 1);
	assert_int_equal(groups_records(groups), 0);
}

/* An absent value is better than one that is too small. */
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
	assert_true(end.has == 0);
	assert_empty(groups);
}

/* Before version 12 a record names only its thread. */
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
	assert_true(end.has == 0);
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
		TEST(test_code_in_doubt),
		TEST(test_code_of_worker),
		TEST(test_code_of_signal),
		TEST(test_pid_reuse),
		TEST(test_pid_reuse_one_cpu),
		TEST(test_pid_reuse_by_code),
		TEST(test_late_fork),
		TEST(test_stale_record),
		TEST(test_missing_record),
		TEST(test_old_records),
		TEST(test_many),
		cmocka_unit_test_setup_teardown(test_without_records, setup_without_records, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
