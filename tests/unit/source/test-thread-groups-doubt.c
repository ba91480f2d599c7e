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

/* Both have ended, and their records are there: no usage is better than the other one's. */
static void test_replaced_mixes(void **state)
{
	struct groups *groups = *state;
	struct group_end end;

	forked(groups, 20, 20);
	now += 10 * MSEC;
	for (uint32_t code = 0x300; code <= 0x500; code += 0x200)
		recorded(groups, (struct record){ .tgid = 20,
						  .tid = 20,
						  .code = code,
						  .flags = TASKSTATS_AGROUP,
						  .heard_nsec = now - 10 * MSEC });
	now -= 5 * MSEC;
	assert_false(replaced(groups, 20, &end));
	assert_false(end.has_status);
	assert_true(end.has == 0);
	now += 20 * MSEC;
	/* Which exit is whose is open, too. */
	(void)exited_code(groups, 20, 20, 0x500, &end);
	assert_true(end.has == 0);
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
					  .heard_nsec = now - 10 * MSEC });
	now -= 5 * MSEC;
	groups_lost(groups, tick());
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
	groups_lost(groups, tick());
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
	struct cn_event exit = {
		.what = PROC_EVENT_EXIT, .tgid = 20, .tid = 20, .unheard = true, .exit = { .code = 0x100 }
	};
	struct groups *groups = *state;

	now += 10 * MSEC;
	recorded(groups, (struct record){ .tgid = 20,
					  .tid = 20,
					  .code = 0x100,
					  .flags = TASKSTATS_AGROUP,
					  .heard_nsec = now - 10 * MSEC });
	now -= 5 * MSEC;
	forked(groups, 20, 20);
	exit.nsec = now + 10 * MSEC;
	assert_false(groups_exit_is_doubtful(groups, groups_find(groups, 20), &exit));
	groups_lost(groups, now);
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
	struct cn_event exit = {
		.what = PROC_EVENT_EXIT, .tgid = 20, .tid = 21, .unheard = true, .exit = { .code = 0 }
	};
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

	groups_lost(groups, tick());
	groups_count_begin(groups, begin, tick());
	groups_adopt(groups, 20, 0, 0);
	assert_int_equal(groups_count_thread(groups, 20, 20), 0);
	groups_count_end(groups);
	assert_false(exited_code(groups, 20, 20, 0, &end));
	assert_int_equal(groups_ending(groups), 1);
	group_end(groups, groups_find(groups, 20), &end);
	assert_false(end.has_status);
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
		groups_lost(groups, tick());
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
		TEST(test_record_from_before_loss),
		TEST(test_ignored_exit),
		TEST(test_doubtful_exit),
		TEST(test_unheard_before_scan),
		TEST(test_loss_during_scan),
		TEST(test_counted_ids_again),
		TEST(test_proof),
		TEST(test_zero_after_the_last),
		TEST(test_settle_takes_no_more),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
