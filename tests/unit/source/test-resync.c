// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A scan of /proc is compared with a table: which processes are added, which are missing, and when this is reported. The
 * test makes the files of /proc.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "log-format.h"
#include "source/recent.h"
#include "source/resync.h"
#include "tests/unit/support.h"

#define SECOND UINT64_C(1000000)

/* As many processes as there may be, and the kinds of them; in valgrind fewer. */
#define MANY	  200000
#define MANY_SLOW 2000
#define KINDS	  4
#define TURN_NSEC (50 * NSEC_PER_MSEC)

static struct hub *hub;
static struct resync *resync;
static const struct clocks clocks;
static struct proc_snapshot snapshot;
static int proc;
static unsigned int n_gone;
static uint32_t gone[8];

static void on_gone(void *userdata, uint32_t pid, uint64_t nsec)
{
	struct fb_event event;

	(void)userdata;
	assert_true(nsec > 0);
	gone[n_gone++ % 8] = pid;
	fb_event_init(&event, EVENT_EXIT);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, boot_usec, nsec / NSEC_PER_USEC);
	hub_publish(hub, &event);
}

static uint64_t published_usec, lost_usec;

static uint64_t on_published(void *userdata, uint64_t *lost)
{
	(void)userdata;
	*lost = lost_usec;
	return published_usec;
}

static const struct resync_ops ops = { .gone = on_gone, .published = on_published };

static int setup(void **state)
{
	struct log *log = NULL;

	(void)state;
	test_dir_make();
	assert_int_equal(log_open(&log, test_path("log"), LOG_BLOCKS_MIN * LOG_BLOCK_SIZE, (gid_t)-1), 0);
	assert_int_equal(hub_new(&hub, log, 1 << 20), 0);
	assert_int_equal(resync_new(&resync, hub, &clocks, &ops, NULL), 0);
	assert_int_equal(mkdir(test_path("proc"), 0755), 0);
	proc = open(test_path("proc"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(proc >= 0);
	n_gone = 0;
	published_usec = UINT64_MAX;
	lost_usec = 0;
	return 0;
}

static int teardown(void **state)
{
	char command[256];

	(void)state;
	close(proc);
	proc_snapshot_done(&snapshot);
	resync_free(resync);
	hub_free(hub);
	snprintf(command, sizeof(command), "rm -rf %s", test_path("proc"));
	assert_int_equal(system(command), 0);
	test_dir_remove();
	return 0;
}

/* A process in /proc, with one thread. */
static void live(uint32_t pid, uint64_t start_sec, const char *comm)
{
	char path[64];
	int dir;

	snprintf(path, sizeof(path), "%u", pid);
	if (mkdirat(proc, path, 0755) == 0) {
		snprintf(path, sizeof(path), "%u/task", pid);
		assert_int_equal(mkdirat(proc, path, 0755), 0);
		snprintf(path, sizeof(path), "%u/task/%u", pid, pid);
		assert_int_equal(mkdirat(proc, path, 0755), 0);
	}
	snprintf(path, sizeof(path), "%u/stat", pid);
	dir = openat(proc, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(dir >= 0);
	dprintf(dir, "%u (%s) S 1 %u %u 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 %llu 0 0\n", pid, comm, pid,
		pid, (unsigned long long)(start_sec * (uint64_t)sysconf(_SC_CLK_TCK)));
	close(dir);
}

static struct fb_event make(enum event_type type, uint32_t pid, uint64_t start_sec, const char *comm)
{
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, start_usec, start_sec * SECOND);
	EVENT_SET(&event, boot_usec, 1000 * SECOND);
	if (comm)
		EVENT_SET(&event, comm, event_text(comm));
	return event;
}

static void know(uint32_t pid, uint64_t start_sec, const char *comm)
{
	struct fb_event event = make(EVENT_PROCESS, pid, start_sec, comm);

	assert_int_equal(hub_learn(hub, &event), 0);
}

static void publish(enum event_type type, uint32_t pid, uint64_t start_sec, const char *comm)
{
	struct fb_event event = make(type, pid, start_sec, comm);

	if (type == EVENT_EXIT)
		resync_note_exit(resync, &event);
	hub_publish(hub, &event);
}

static const struct process *find(uint32_t pid)
{
	return table_find(hub_table(hub), pid);
}

static void assert_comm(uint32_t pid, const char *comm)
{
	assert_non_null(find(pid));
	assert_string_equal(find(pid)->comm, comm);
}

static void begin(uint64_t now)
{
	resync_want(resync);
	resync_started(resync, now);
	assert_int_equal(proc_snapshot_take(&snapshot, proc), 0);
}

static void settle(void)
{
	resync_settle(resync, snapshot.end_nsec + RESYNC_LATE_NSEC + 1, false);
}

static void test_scan(void **state)
{
	(void)state;
	live(10, 100, "a");
	live(20, 200, "b");
	know(10, 100, "old");
	know(30, 300, "c");
	/* Its pid was reused. */
	know(20, 150, "before");
	begin(1);
	assert_true(resync_holds(resync, RESYNC_WAIT_NSEC));
	assert_int_equal(resync_take(resync, &snapshot, 0, RESYNC_WAIT_NSEC), 0);
	assert_comm(10, "a");
	assert_comm(20, "b");
	assert_int_equal(n_gone, 1);
	assert_int_equal(gone[0], 20);
	/* The events of the missing process may still be on their way. */
	resync_settle(resync, snapshot.end_nsec, false);
	resync_settle(resync, 0, false);
	assert_int_equal(n_gone, 1);
	settle();
	assert_int_equal(n_gone, 2);
	assert_int_equal(gone[1], 30);
	settle();
	assert_int_equal(n_gone, 2);
	assert_false(resync_is_wanted(resync));
}

/* They arrived, or another process has the pid. */
static void test_missing_ends(void **state)
{
	(void)state;
	know(30, 300, "c");
	know(40, 400, "d");
	begin(1);
	assert_int_equal(resync_take(resync, &snapshot, 0, 2), 0);
	publish(EVENT_EXIT, 30, 300, NULL);
	publish(EVENT_EXIT, 40, 400, NULL);
	publish(EVENT_FORK, 40, 500, "e");
	settle();
	assert_int_equal(n_gone, 0);
	assert_comm(40, "e");
}

/*
 * A process whose start is still to be published is not taken in. It may have begun up to a tick later than /proc says; so it
 * does not show either that the one that has its pid in the table has ended: the events of both may come.
 */
static void test_still_to_come(void **state)
{
	(void)state;
	live(10, 100, "a");
	live(20, 200, "b");
	know(20, 150, "before");
	published_usec = 100 * SECOND + 9999;
	begin(1);
	assert_int_equal(resync_take(resync, &snapshot, 0, 2), 0);
	assert_null(find(10));
	assert_comm(20, "before");
	assert_int_equal(n_gone, 0);
	assert_false(resync_is_wanted(resync));
	/* They do not come. */
	published_usec = 200 * SECOND + 10000;
	begin(3);
	assert_int_equal(resync_take(resync, &snapshot, 0, 4), 0);
	assert_comm(10, "a");
	assert_comm(20, "b");
	assert_int_equal(n_gone, 1);
	assert_false(resync_is_wanted(resync));
}

/* The same, but they may be among what was lost. */
static void test_lost_perhaps(void **state)
{
	(void)state;
	live(10, 100, "a");
	live(20, 100, "b");
	live(30, 100, "c");
	know(20, 50, "before");
	know(30, 100, "old");
	published_usec = 99 * SECOND;
	lost_usec = 100 * SECOND + 5000;
	begin(1);
	assert_int_equal(resync_take(resync, &snapshot, 0, 2), 0);
	assert_comm(10, "a");
	/* The end is as late as that of one that was not found. */
	assert_comm(20, "before");
	settle();
	assert_int_equal(n_gone, 1);
	assert_null(find(20));
	/* Another one that began with this pid in the same tick would look the same. */
	assert_comm(30, "old");
	/* The next scan takes both. */
	assert_true(resync_is_wanted(resync));
	published_usec = 100 * SECOND + 10000;
	begin(3);
	assert_int_equal(resync_take(resync, &snapshot, 0, 4), 0);
	assert_comm(20, "b");
	assert_comm(30, "c");
	assert_false(resync_is_wanted(resync));
}

/* A scan that takes longer than events wait for it still repairs the table. */
static void test_late(void **state)
{
	const uint64_t late = 30 * NSEC_PER_SEC;

	(void)state;
	live(10, 100, "a"); /* missed, lives */
	live(20, 200, "b"); /* missed, ends while the scan runs */
	live(30, 300, "c"); /* is renamed meanwhile */
	live(40, 400, "d"); /* its exec was missed, and it had no event since */
	live(50, 500, "e"); /* its pid is used again meanwhile */
	know(30, 300, "old");
	know(40, 400, "old");
	know(50, 500, "e");
	know(60, 600, "f"); /* ended, missed */
	begin(1);
	assert_false(resync_holds(resync, late));
	publish(EVENT_EXIT, 20, 200, NULL);
	publish(EVENT_COMM, 30, 300, "new");
	publish(EVENT_EXIT, 50, 500, NULL);
	publish(EVENT_FORK, 50, 700, "young");
	publish(EVENT_FORK, 70, 701, "young"); /* started after the scan had passed its pid */
	assert_int_equal(resync_take(resync, &snapshot, 0, late), 0);
	settle();
	assert_comm(10, "a");
	assert_null(find(20));
	assert_comm(30, "new");
	assert_comm(40, "d");
	assert_comm(50, "young");
	assert_comm(70, "young");
	assert_null(find(60));
	assert_int_equal(n_gone, 1);
	assert_int_equal(gone[0], 60);
	assert_false(resync_is_wanted(resync));
}

/* /proc still shows a process whose end was reported. */
static void test_rest(void **state)
{
	struct fb_event event = make(EVENT_EXIT, 20, 200, NULL);

	(void)state;
	know(20, 200, "b");
	publish(EVENT_EXIT, 20, 200, NULL);
	assert_true(resync_has_ended(resync, &event));
	assert_true(resync_ended_after(resync, 20, 999 * SECOND));
	assert_false(resync_ended_after(resync, 20, 1000 * SECOND));
	assert_false(resync_ended_after(resync, 21, 0));
	live(20, 200, "b");
	begin(1);
	assert_int_equal(resync_take(resync, &snapshot, 0, 2), 0);
	assert_null(find(20));
	/* Another process with the pid is another process. */
	live(20, 900, "n");
	begin(1);
	assert_int_equal(resync_take(resync, &snapshot, 0, 2), 0);
	assert_comm(20, "n");
	settle();
	assert_int_equal(n_gone, 0);
}

/* A process that could not be read may live: none is reported as missing, and the scan is repeated, except after a refusal. */
static void test_incomplete(void **state)
{
	struct rlimit before, few;
	int next = dup(proc);

	(void)state;
	close(next);
	live(10, 100, "a");
	know(10, 100, "old");
	know(30, 300, "c");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ (rlim_t)next + 1, before.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	begin(1);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(snapshot.skipped, -EMFILE);
	assert_int_equal(resync_take(resync, &snapshot, 0, 2), 0);
	settle();
	assert_int_equal(n_gone, 0);
	assert_comm(10, "old");
	assert_true(resync_is_wanted(resync));

	begin(1);
	snapshot.skipped = -EACCES;
	assert_int_equal(resync_take(resync, &snapshot, 0, 2), 0);
	settle();
	assert_int_equal(n_gone, 0);
	assert_comm(10, "a");
	assert_false(resync_is_wanted(resync));

	/* A scan that failed as a whole. */
	begin(1);
	assert_int_equal(resync_take(resync, &snapshot, -ENOMEM, 2), -ENOMEM);
	settle();
	assert_int_equal(n_gone, 0);
	assert_true(resync_is_wanted(resync));
}

static uint64_t cpu_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void note_time(uint64_t *longest, uint64_t began)
{
	uint64_t took = cpu_nsec() - began;

	if (took > *longest)
		*longest = took;
}

/* Another process like one that is there, started at the same time. */
static void live_like(uint32_t pid, uint32_t other)
{
	char target[16], path[16];

	snprintf(target, sizeof(target), "%u", other);
	snprintf(path, sizeof(path), "%u", pid);
	assert_int_equal(symlinkat(target, proc, path), 0);
}

/*
 * A table of many processes is repaired, in slices of the loop's time. Of each six, two have another name now, one was missed, of
 * one the pid is used again, one has ended, and one never was.
 */
static void test_many(void **state)
{
	const uint32_t many = in_valgrind() ? MANY_SLOW : MANY, first = 100;
	unsigned int slices = 0, reported = 0;
	uint64_t longest = 0;
	size_t living = KINDS;

	(void)state;
	for (uint32_t i = 0; i < KINDS; i++)
		live(first + i, 100 + i, "a");
	for (uint32_t i = KINDS; i < many; i++) {
		uint32_t pid = first + i;

		if (i % 3 != 2) {
			live_like(pid, first + i % KINDS);
			living++;
		}
		if (i % 3 == 0)
			know(pid, 100 + i % KINDS, "old");
		else if (i % 6 > 2)
			know(pid, 50, "before");
	}
	begin(1);
	assert_int_equal(snapshot.n, living);
	assert_int_equal(resync_begin_taking(resync, &snapshot, 0, 2), 0);
	for (bool all = false; !all; slices++) {
		uint64_t began = cpu_nsec();

		all = resync_go_on_taking(resync);
		note_time(&longest, began);
	}
	for (; reported == 0 || resync_is_busy(resync); reported++) {
		uint64_t began = cpu_nsec();

		if (reported == 0)
			settle();
		else
			assert_int_equal(resync_collect(resync, NULL), RESYNC_PART);
		note_time(&longest, began);
		/* Events wait until all are reported. */
		assert_int_equal(resync_holds(resync, UINT64_MAX), resync_is_busy(resync));
	}
	print_message("%u processes: %u and %u slices, the longest %llu us\n", many, slices, reported,
		      (unsigned long long)(longest / NSEC_PER_USEC));
	assert_true(in_valgrind() || (slices > 1 && reported > 1 && longest < TURN_NSEC));
	assert_int_equal(table_count(hub_table(hub)), snapshot.n);
	for (uint32_t i = 0; i < many; i++) {
		const struct process *process = find(first + i);

		assert_int_equal(process != NULL, i < KINDS || i % 3 != 2);
		if (!process)
			continue;
		assert_string_equal(process->comm, "a");
		assert_true(procfs_start_matches((100 + i % KINDS) * SECOND, process->id.start_usec));
	}
	assert_false(resync_is_wanted(resync));
}

static void test_recent(void **state)
{
	struct recent recent;
	const struct recent_entry *entry;

	(void)state;
	assert_int_equal(recent_init(&recent), 0);
	for (uint32_t i = 1; i <= 3 * RECENT_SIZE; i++)
		recent_add(&recent, (struct process_id){ i, i }, i);
	assert_null(recent_find(&recent, 2 * RECENT_SIZE, NULL));
	assert_non_null(recent_find(&recent, 2 * RECENT_SIZE + 1, NULL));
	assert_false(recent.dropped);
	/* All that arrived since are kept, up to a limit. */
	recent_keep(&recent, true);
	for (uint32_t i = 1; i <= RECENT_SIZE_MAX; i++)
		recent_add(&recent, (struct process_id){ i, 2 * i }, i);
	assert_false(recent.dropped);
	entry = recent_find(&recent, 7, NULL);
	assert_non_null(entry);
	assert_int_equal(entry->id.start_usec, 14);
	assert_null(recent_find(&recent, 7, entry));
	recent_add(&recent, (struct process_id){ 8, 3 }, 1);
	assert_true(recent.dropped);
	entry = recent_find(&recent, 8, NULL);
	assert_int_equal(entry->id.start_usec, 3);
	entry = recent_find(&recent, 8, entry);
	assert_int_equal(entry->id.start_usec, 16);
	assert_null(recent_find(&recent, 1, NULL));
	recent_keep(&recent, false);
	assert_false(recent.dropped);
	recent_done(&recent);
}

int main(void)
{
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_scan),	 TEST(test_still_to_come), TEST(test_lost_perhaps),
		TEST(test_missing_ends), TEST(test_late),	   TEST(test_rest),
		TEST(test_incomplete),	 TEST(test_many),	   cmocka_unit_test(test_recent),
	};

	return cmocka_run_group_tests_name("resync", tests, NULL, NULL);
}
