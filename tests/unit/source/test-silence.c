// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which exits are missing, according to the records, and when a source without records tests the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "source/connector/silence.h"
#include "tests/unit/support.h"

#define SECOND NSEC_PER_SEC

static struct groups *groups;
static struct silence silence;
static struct unheard unheard;

static int setup(void **state)
{
	(void)state;
	silence_init(&silence, SECOND);
	return groups_new(&groups, true);
}

static int teardown(void **state)
{
	(void)state;
	groups = groups_free(groups);
	return 0;
}

static void test_without_records(void **state)
{
	(void)state;
	assert_false(silence_is_due(&silence, 2 * SECOND, 0));
	assert_false(silence_is_due(&silence, 3 * SECOND, 0));
	assert_true(silence_is_due(&silence, 3 * SECOND + 1, 0));
	/* The message of the test arrived. */
	assert_false(silence_is_due(&silence, 4 * SECOND, 1));
	assert_false(silence_is_due(&silence, 6 * SECOND, 1));
	assert_true(silence_is_due(&silence, 6 * SECOND + 1, 1));
	/* It did not: test again. */
	assert_false(silence_is_due(&silence, 8 * SECOND, 1));
	assert_true(silence_is_due(&silence, 8 * SECOND + 2, 1));
}

static void record(uint32_t tgid, uint32_t tid, uint64_t arrival, uint64_t heard)
{
	const struct taskstats_record record = {
		.version = 16,
		.tgid = tgid,
		.tid = tid,
		.ppid = 7,
		.code = 0x300,
		.elapsed_usec = 4000000,
		.arrival_nsec = arrival,
		.heard_nsec = heard,
	};

	assert_int_equal(groups_record(groups, &record), 0);
}

static void find(uint64_t now)
{
	silence_find(&silence, groups, now, &unheard);
}

/* A record whose exit did not come, though its thread is gone. No thread has an id as high as these. */
static void test_missing(void **state)
{
	uint32_t self = (uint32_t)getpid();

	(void)state;
	find(100 * SECOND);
	assert_false(unheard.waits);
	/* This one frees much memory. */
	record(self, self, 10 * SECOND, 3 * SECOND);
	find(100 * SECOND);
	assert_true(unheard.waits);
	assert_int_equal(unheard.n, 0);
	assert_int_equal(unheard.since_nsec, 0);

	record(self, 0x7ffffff0, 20 * SECOND, 19 * SECOND);
	record(self, 0x7ffffff1, 21 * SECOND, 18 * SECOND);
	record(0x7ffffff2, 0x7ffffff2, 99 * SECOND, 4 * SECOND);
	/* The message of the third may be on its way. */
	find(99 * SECOND);
	assert_int_equal(unheard.n, 2);
	find(99 * SECOND + SECOND / 100);
	assert_int_equal(unheard.n, 3);
	assert_int_equal(unheard.since_nsec, 4 * SECOND);
	assert_int_equal(unheard.past_nsec, 18 * SECOND);
	find(101 * SECOND);
	assert_int_equal(unheard.past_nsec, 4 * SECOND);
	/* A silence is reported only once, but the ends stay until they are published. */
	silence_cover(&silence, 21 * SECOND);
	find(99 * SECOND + SECOND / 100);
	assert_int_equal(unheard.n, 3);
	assert_int_equal(unheard.since_nsec, 4 * SECOND);
	assert_int_equal(unheard.past_nsec, 0);
	silence_cover(&silence, 99 * SECOND);
	find(99 * SECOND + SECOND / 100);
	assert_int_equal(unheard.since_nsec, 0);
	assert_int_equal(unheard.n, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_false(unheard.ends[i].exit.late);
	/* Records that were read with a delay do not say when their threads ended. */
	silence_crowd(&silence, 30 * SECOND);
	find(99 * SECOND + SECOND / 100);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(unheard.ends[i].exit.late, unheard.ends[i].arrival_nsec < 30 * SECOND);
}

/* The message is the one that the kernel would have sent, at the time that the record shows. */
static void test_message(void **state)
{
	const struct cn_event fork = {
		.what = PROC_EVENT_FORK, .nsec = 2 * SECOND, .tid = 0x7ffffff2, .tgid = 0x7ffffff2
	};
	const struct unheard_end *end = &unheard.ends[0];

	(void)state;
	record(0x7ffffff2, 0x7ffffff2, 9 * SECOND, 4 * SECOND);
	find(10 * SECOND);
	assert_int_equal(unheard.n, 1);
	assert_int_equal(end->exit.what, PROC_EVENT_EXIT);
	assert_int_equal(end->exit.tid, 0x7ffffff2);
	assert_int_equal(end->exit.tgid, 0x7ffffff2);
	assert_int_equal(end->exit.exit.code, 0x300);
	assert_int_equal(end->exit.exit.parent_tgid, 7);
	assert_int_equal(end->exit.nsec, 9 * SECOND);
	assert_false(unheard_is_overdue(end, 10 * SECOND));
	assert_true(unheard_is_overdue(end, 10 * SECOND + 1));
	/* It lived for four seconds. */
	assert_non_null(groups_fork(groups, &fork));
	find(10 * SECOND);
	assert_int_equal(end->exit.nsec, 6 * SECOND);
}

/* A process that has ended, but whose parent has not waited for it. */
static void test_zombie(void **state)
{
	siginfo_t info;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	record((uint32_t)pid, (uint32_t)pid, 9 * SECOND, 4 * SECOND);
	find(10 * SECOND);
	assert_int_equal(unheard.n, 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* More than are looked up at a time. */
static void test_many(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SILENCE_ENDS_MAX + 10; i++)
		record(0x7fff0000 + i, 0x7fff0000 + i, 9 * SECOND, 4 * SECOND);
	find(10 * SECOND);
	assert_int_equal(unheard.n, SILENCE_ENDS_MAX);
	assert_true(unheard.waits);
}

static void test_provoke(void **state)
{
	char before[16], after[16];

	(void)state;
	assert_int_equal(prctl(PR_GET_NAME, before), 0);
	silence_provoke();
	assert_int_equal(prctl(PR_GET_NAME, after), 0);
	assert_string_equal(before, after);
}

int main(void)
{
#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_without_records), TEST(test_missing), TEST(test_message),
		TEST(test_zombie),	    TEST(test_many),	TEST(test_provoke),
	};

	return cmocka_run_group_tests_name("silence", tests, NULL, NULL);
}
