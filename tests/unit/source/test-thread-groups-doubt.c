// SPDX-License-Identifier: LGPL-2.1-or-later
/* Thread groups after losses: whose record or exit is it, and what is certain about an end? */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/thread-lives.h"

static struct cn_event fork_of(uint32_t tgid)
{
	return (struct cn_event){ .what = PROC_EVENT_FORK, .nsec = tick(), .tgid = tgid, .tid = tgid };
}

/* The fork of a process whose pid another one has, whose end was missed. Return: whether that one's records were used. */
static bool replaced(struct groups *groups, uint32_t tgid, struct group_end *end)
{
	struct cn_event fork = fork_of(tgid);
	struct group *old = groups_replaced(groups, &fork);
	bool settled;

	assert_non_null(old);
	settled = groups_settle_replaced(groups, old, &fork);
	group_end(groups, old, end);
	groups_remove(groups, old);
	assert_non_null(groups_fork(groups, &fork));
	return settled;
}

/* The parent waited for it before its exit was reported: it ended as its record says. */
static void test_replaced_settles(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	tick();
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP });
	assert_true(replaced(groups, 20, &end));
	assert_end(&end, 0x300, 1);
	/* The exit comes after all. It is not the new process'. */
	assert_false(exited_code(groups, 20, 20, 0x300, &end));
	assert_true(exited(groups,
			   (struct record){ .tgid = 20, .tid = 20, .code = 0x500, .flags = TASKSTATS_AGROUP },
			   &end));
	assert_end(&end, 0x500, 1);
	assert_empty(groups);
}

/*
 * A process, and the next one with its pid, which ends with 0x500: the records of both are read at once, after the next one's
 * fork. They were made 5 ms before and after that.
 */
static void record_both(struct groups *groups, unsigned int next_cpu, uint64_t life_usec)
{
	struct record record = { .tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP };

	forked(groups, 20, 20);
	now += life_usec * 1000 + 5 * MSEC;
	record.after_nsec = now - 10 * MSEC;
	record.life_usec = record.elapsed_usec = life_usec;
	recorded(groups, record);
	record.code = 0x500;
	record.cpu = next_cpu;
	record.life_usec = record.elapsed_usec = 3000;
	recorded(groups, record);
	now -= 5 * MSEC;
}

/* No usage is better than the other one's, and it is open whose end an exit is: /proc shows when the next one is gone. */
static void test_replaced_mixes(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	record_both(groups, 1, 4000);
	assert_false(replaced(groups, 20, &end));
	assert_false(end.has_status);
	assert_true(end.has == 0);
	now += 5 * MSEC;
	assert_false(exited_code(groups, 20, 20, 0x500, &end));
	assert_false(exited_code(groups, 20, 20, 0x300, &end));
	assert_ptr_equal(groups_suspect(groups, now + 100 * MSEC), groups_find(groups, 20));
	groups_settle(groups, groups_find(groups, 20), now);
	group_end(groups, groups_find(groups, 20), &end);
	assert_false(end.has_status);
	assert_true(end.has == 0);
	assert_int_equal(groups_records(groups), 0);
}

/* An exit that comes too early for its record is that of the older one. Then the other exit and record are the next one's. */
static void test_replaced_mixes_at_first(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	record_both(groups, 1, 4000);
	assert_false(replaced(groups, 20, &end));
	assert_false(exited_code(groups, 20, 20, 0x300, &end));
	now += 5 * MSEC;
	assert_true(exited_code(groups, 20, 20, 0x500, &end));
	assert_end(&end, 0x500, 1);
	assert_empty(groups);
}

/* A socket keeps the order; and a process is as old as its records say. */
static void test_replaced_is_known(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	for (int old = 0; old < 2; old++) {
		record_both(groups, old ? 1 : 0, old ? 40000 : 4000);
		assert_true(replaced(groups, 20, &end));
		assert_end(&end, 0x300, 1);
		assert_false(exited_code(groups, 20, 20, 0x300, &end));
		now += 5 * MSEC;
		assert_true(exited_code(groups, 20, 20, 0x500, &end));
		assert_end(&end, 0x500, 1);
		assert_empty(groups);
	}
}

/* Both end with the same code. The exit that comes too early for the record of the next one is that of the older one. */
static void test_same_code(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .flags = TASKSTATS_AGROUP });
	assert_true(replaced(groups, 20, &end));
	now += 10 * MSEC;
	recorded(groups,
		 (struct record){ .tgid = 20, .tid = 20, .flags = TASKSTATS_AGROUP, .elapsed_usec = 10000 });
	now -= 9 * MSEC;
	assert_false(exited_code(groups, 20, 20, 0, &end));
	now += 9 * MSEC;
	assert_true(exited_code(groups, 20, 20, 0, &end));
	assert_end(&end, 0, 1);
	assert_empty(groups);
}

/* Two records of the same thread and code: the next process with the pid ended on the CPU of the exit, but after another life. */
static void test_life_before_cpu(void **state)
{
	struct record record = { .tgid = 20, .tid = 20, .flags = TASKSTATS_AGROUP, .cpu = 1 };
	struct cn_event exit = { .what = PROC_EVENT_EXIT, .tgid = 20, .tid = 20 };
	struct groups *groups = *state;
	struct group_exit result;

	for (int reused = 0; reused < 2; reused++) {
		forked(groups, 20, 20);
		now += 20 * MSEC;
		record.elapsed_usec = record.life_usec = 19500;
		record.cpu = 1;
		recorded(groups, record);
		exit.nsec = now;
		record.elapsed_usec = record.life_usec = 3000;
		record.cpu = 0;
		recorded(groups, record);
		exit.reused = reused;
		groups_exit(groups, &exit, &result);
		assert_true(result.ended && result.has_record);
		assert_int_equal(result.record.elapsed_usec, reused ? 19500 : 3000);
		groups_remove(groups, result.group);
		groups_expire(groups, UINT64_MAX);
	}
}

/* The record of a process was lost, and that of the next one with its pid was read before its exit was looked at. */
static void test_record_of_the_next(void **state)
{
	struct cn_event exit = { .what = PROC_EVENT_EXIT, .tgid = 20, .tid = 20 };
	struct groups *groups = *state;
	struct group_exit result;

	for (int lost = 0; lost < 3; lost++) {
		forked(groups, 20, 20);
		exit.nsec = tick();
		/* One that was read before the exit was reported is its own. */
		now = lost == 2 ? now - MSEC : now + MSEC;
		recorded(groups,
			 (struct record){
				 .tgid = 20, .tid = 20, .flags = TASKSTATS_AGROUP, .after_nsec = now });
		now += MSEC;
		exit.reused = true;
		if (lost)
			groups_records_lost(groups, exit.nsec - 2 * MSEC, now);
		groups_exit(groups, &exit, &result);
		assert_int_equal(result.has_record, lost != 1);
		assert_true(result.ended);
		groups_remove(groups, result.group);
	}
}

/* The exit of a process was lost with the fork of the next one, but not its record. */
static void test_record_from_before_loss(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	now += 10 * MSEC;
	recorded(groups, (struct record){ .tgid = 20,
					  .tid = 20,
					  .code = 0x300,
					  .flags = TASKSTATS_AGROUP,
					  .after_nsec = now - 10 * MSEC });
	now -= 5 * MSEC;
	messages_lost(groups, tick());
	forked(groups, 20, 20);
	assert_true(exited_code(groups, 20, 20, 0x300, &end));
	assert_int_equal(end.status, 0x300);
	assert_true(end.has == 0);
	assert_false(end.has_task);
	/* One that was read later is the process' own. */
	now += 10 * MSEC;
	forked(groups, 20, 20);
	assert_true(exited(groups,
			   (struct record){ .tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP },
			   &end));
	assert_end(&end, 0x300, 1);
	assert_empty(groups);
}

/* Of an earlier process with this pid, perhaps: its record is not used, and /proc is asked whether the known one lives. */
static void test_ignored_exit(void **state)
{
	struct cn_event exit = { .what = PROC_EVENT_EXIT, .tgid = 20, .tid = 20, .exit = { .code = 0x100 } };
	struct groups *groups = *state;
	struct group *group;

	forked(groups, 20, 20);
	group = groups_find(groups, 20);
	messages_lost(groups, tick());
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x100, .flags = TASKSTATS_AGROUP });
	exit.nsec = tick();
	assert_false(group_is_certain(groups, group, exit.nsec));
	groups_ignore_exit(groups, group, &exit);
	assert_ptr_equal(groups_find(groups, 20), group);
	assert_int_equal(group->alive, 1);
	assert_false(group->has_record);
	assert_int_equal(groups_records(groups), 0);
	assert_ptr_equal(groups_suspect(groups, now + 100 * MSEC), group);
}

/* The record of an exit that did not come: of which process is it? */
static void test_doubtful_exit(void **state)
{
	struct cn_event exit = { .what = PROC_EVENT_EXIT,
				 .tgid = 20,
				 .tid = 20,
				 .unheard = true,
				 .late = true,
				 .exit = { .code = 0x100 } };
	struct groups *groups = *state;

	now += 10 * MSEC;
	recorded(groups, (struct record){ .tgid = 20,
					  .tid = 20,
					  .code = 0x100,
					  .flags = TASKSTATS_AGROUP,
					  .after_nsec = now - 10 * MSEC });
	now -= 5 * MSEC;
	forked(groups, 20, 20);
	exit.nsec = now + 10 * MSEC;
	assert_false(groups_exit_is_doubtful(groups, groups_find(groups, 20), &exit));
	messages_lost(groups, now);
	assert_true(groups_exit_is_doubtful(groups, groups_find(groups, 20), &exit));
	/* Read in another turn than the loss. */
	now += 10 * MSEC;
	forked(groups, 21, 21);
	recorded(groups, (struct record){ .tgid = 21, .tid = 21, .code = 0x100, .flags = TASKSTATS_AGROUP });
	exit.tgid = exit.tid = 21;
	assert_false(groups_exit_is_doubtful(groups, groups_find(groups, 21), &exit));
}

/* A scan came between the end of a thread and the moment in which its record showed it: it was not counted. */
static void test_unheard_before_scan(void **state)
{
	struct cn_event exit = { .what = PROC_EVENT_EXIT,
				 .tgid = 20,
				 .tid = 21,
				 .unheard = true,
				 .late = true,
				 .exit = { .code = 0 } };
	struct groups *groups = *state;
	struct group_exit result;

	forked(groups, 20, 20);
	forked(groups, 20, 21);
	tick();
	recorded(groups, (struct record){ .tgid = 20, .tid = 21, .code = 0 });
	groups_count_begin(groups, tick(), tick());
	groups_adopt(groups, 20, 0, 0);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	groups_count_end(groups);
	exit.nsec = tick();
	groups_exit(groups, &exit, &result);
	assert_false(result.ended);
	assert_true(result.has_record);
	assert_int_equal(groups_find(groups, 20)->alive, 1);
}

/* A loss after a thread was counted, but noted before the count was used: another thread may be missing. */
static void test_loss_during_scan(void **state)
{
	struct groups *groups = *state;
	struct group_end end;
	uint64_t begin = tick();

	messages_lost(groups, tick());
	groups_count_begin(groups, begin, tick());
	groups_adopt(groups, 20, 0, 0);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	groups_count_end(groups);
	assert_false(exited_code(groups, 20, 20, 0, &end));
	assert_int_equal(groups_ending(groups), 1);
	group_end(groups, groups_find(groups, 20), &end);
	assert_false(end.has_status);
}

/* Is a process that a scan sees after a loss the known one, or another one that began in the same tick of /proc? */
static void test_same_tick(void **state)
{
	struct groups *groups = *state;
	struct group *group;
	uint64_t tick_end;

	forked(groups, 20, 20);
	group = groups_find(groups, 20);
	tick_end = now + 10 * MSEC;
	assert_true(group_was_seen(groups, group, tick_end, tick()));
	/* All was heard until the end of the tick. */
	groups_lost(groups, tick_end, tick_end + MSEC);
	assert_true(group_was_seen(groups, group, tick_end, tick_end + 2 * MSEC));
	groups_lost(groups, tick_end - MSEC, tick_end + MSEC);
	assert_false(group_was_seen(groups, group, tick_end, tick_end + 2 * MSEC));
	/* It lived after that. */
	group_is_known(group, tick_end);
	assert_true(group_was_seen(groups, group, tick_end, tick_end + 2 * MSEC));
	/* A later scan asks only for losses since. */
	forked(groups, 21, 21);
	groups_count_begin(groups, tick_end + 2 * MSEC, tick_end + 3 * MSEC);
	groups_count_end(groups);
	groups_lost(groups, tick_end + 5 * MSEC, tick_end + 6 * MSEC);
	assert_true(group_was_seen(groups, groups_find(groups, 21), tick_end, tick_end + 7 * MSEC));
}

/* The ids of threads that a scan counted are used again, by the same process or another one. */
static void test_counted_ids_again(void **state)
{
	struct cn_event fork = { .what = PROC_EVENT_FORK, .tgid = 20, .tid = 20 };
	struct groups *groups = *state;

	forked(groups, 20, 20);
	groups_count_begin(groups, tick(), now + 5 * MSEC);
	groups_adopt(groups, 20, 0, now);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	assert_int_equal(groups_count_thread(groups, 20, 21), 0);
	/* One that was forked after the scan saw the thread with its id. */
	forked(groups, 30, 30);
	forked(groups, 30, 21);
	assert_int_equal(groups_find(groups, 30)->alive, 2);
	/* The process with this pid ended unseen. */
	fork.nsec = tick();
	groups_find(groups, 20)->fork_nsec = 1;
	groups_remove(groups, groups_replaced(groups, &fork));
	assert_non_null(groups_fork(groups, &fork));
	forked(groups, 20, 21);
	assert_int_equal(groups_find(groups, 20)->alive, 2);
	/* The same id after the scan. */
	now += 10 * MSEC;
	groups_adopt(groups, 20, 1, now);
	forked(groups, 20, 21);
	assert_int_equal(groups_find(groups, 20)->alive, 2);
	groups_count_end(groups);
}

/* Exits are missing. What then is certain, and what may another thread's code change? */
static void test_proof(void **state)
{
	const struct {
		uint32_t code;
		uint8_t flags;
		bool has_group, certain;
	} cases[] = {
		/* The last thread, and the only one there ever was. */
		{ 0x300, TASKSTATS_AGROUP, false, true },
		{ SIGSEGV, TASKSTATS_AGROUP | TASKSTATS_AXSIG, false, true },
		/* One of several: another one may have called exit_group(2), or dumped core. */
		{ 0x300, TASKSTATS_AGROUP, true, false },
		{ 0, TASKSTATS_AGROUP, true, false },
		{ 0, TASKSTATS_AGROUP | TASKSTATS_AXSIG, true, false },
		{ SIGSEGV, TASKSTATS_AGROUP | TASKSTATS_AXSIG, true, false },
		/* Killed by exit_group(2), by a signal without a core, and the one that dumped. */
		{ 0x300, TASKSTATS_AGROUP | TASKSTATS_AXSIG, true, true },
		{ SIGKILL, TASKSTATS_AGROUP | TASKSTATS_AXSIG, true, true },
		{ SIGSEGV | 0x80, TASKSTATS_AGROUP | TASKSTATS_AXSIG, true, true },
	};
	struct groups *groups = *state;
	struct group_end end;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		forked(groups, 20, 20);
		messages_lost(groups, tick());
		assert_true(exited(groups,
				   (struct record){ .tgid = 20,
						    .tid = 20,
						    .code = cases[i].code,
						    .flags = cases[i].flags,
						    .has_group = cases[i].has_group },
				   &end));
		assert_int_equal(end.has_status, cases[i].certain);
		assert_true(end.has_status || end.in_doubt);
		if (cases[i].certain)
			assert_int_equal(end.status, cases[i].code);
		/* The kernel's sums are those of all its threads. */
		assert_true(end.has & EVENT_BIT(user_usec));
		assert_int_equal((end.has & EVENT_BIT(minor_faults)) != 0, !cases[i].has_group);
	}
	assert_empty(groups);
}

/* A thread's 0 after the flag of the last one: the messages came in another order than the ends began. */
static void test_zero_after_the_last(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	for (uint32_t code = 0; code <= 0x100; code += 0x100) {
		forked(groups, 20, 20);
		forked(groups, 20, 21);
		assert_false(exited(groups,
				    (struct record){ .tgid = 20,
						     .tid = 20,
						     .code = 0x300,
						     .flags = TASKSTATS_AGROUP,
						     .has_group = true },
				    &end));
		assert_true(exited(groups, (struct record){ .tgid = 20, .tid = 21, .code = code }, &end));
		assert_end(&end, 0x300, 2);
		assert_true(end.in_doubt);
		assert_int_equal(end.raced, code != 0);
	}
	assert_empty(groups);
}

/* The end of a process whose fork is being published: has it a record for certain? */
static void test_peek(void **state)
{
	struct cn_event exit = { .what = PROC_EVENT_EXIT, .tgid = 20, .tid = 20, .exit = { .code = 0x300 } };
	struct groups *groups = *state;
	struct cn_event fork = fork_of(20);

	exit.nsec = tick();
	assert_null(groups_peek(groups, &fork, &exit));
	recorded(groups,
		 (struct record){ .tgid = 20, .tid = 20, .code = 0x300, .after_nsec = fork.nsec - MSEC });
	assert_non_null(groups_peek(groups, &fork, &exit));
	/* Its own may have been lost, and this be one of another process. */
	groups_records_lost(groups, fork.nsec - MSEC, tick());
	assert_null(groups_peek(groups, &fork, &exit));
}

/* A process is gone, and so is the next one with its pid: there are more records than it has threads, in no order. */
static void test_settle_what_is_certain(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	for (unsigned int cpu = 0; cpu < 2; cpu++) {
		record_both(groups, cpu, 4000);
		now += 5 * MSEC;
		groups_settle(groups, groups_find(groups, 20), tick());
		group_end(groups, groups_find(groups, 20), &end);
		assert_int_equal(end.has_status, cpu == 0);
		assert_int_equal(groups_records(groups), cpu == 0 ? 1 : 2);
		groups_remove(groups, groups_find(groups, 20));
		groups_expire(groups, UINT64_MAX);
	}
	/* One of them may be of the next one, if others were lost. */
	forked(groups, 20, 20);
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP });
	groups_records_lost(groups, now - MSEC, tick());
	groups_settle(groups, groups_find(groups, 20), tick());
	group_end(groups, groups_find(groups, 20), &end);
	assert_false(end.has_status);
}

/* All exits were heard, but the record with the flag is missing. The one that is there is of the next process with the pid. */
static void test_settle_takes_no_more(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	groups_adopt(groups, 20, 1, 0);
	assert_false(exited_code(groups, 20, 20, 0x100, &end));
	recorded(groups, (struct record){ .tgid = 20, .tid = 20, .code = 0x300, .flags = TASKSTATS_AGROUP });
	groups_settle(groups, groups_find(groups, 20), tick());
	group_end(groups, groups_find(groups, 20), &end);
	assert_false(end.has_status || end.has_task);
	assert_int_equal(groups_records(groups), 1);
}

int main(void)
{
#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_replaced_settles),
		TEST(test_replaced_mixes),
		TEST(test_replaced_mixes_at_first),
		TEST(test_replaced_is_known),
		TEST(test_same_code),
		TEST(test_life_before_cpu),
		TEST(test_record_of_the_next),
		TEST(test_record_from_before_loss),
		TEST(test_ignored_exit),
		TEST(test_doubtful_exit),
		TEST(test_unheard_before_scan),
		TEST(test_loss_during_scan),
		TEST(test_same_tick),
		TEST(test_counted_ids_again),
		TEST(test_proof),
		TEST(test_zero_after_the_last),
		TEST(test_peek),
		TEST(test_settle_what_is_certain),
		TEST(test_settle_takes_no_more),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
