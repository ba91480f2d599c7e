// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which fields an event of the connector has, and what is asked of /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/connector-stage.h"

#define IDS PROCFS_IDS

/* All possible makers are alike: the child has what they have. Where it is and what it runs is not sure. */
static void test_fork(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "shell");
	say_fork(PARENT, CHILD, CHILD);
	cycle();
	assert_int_equal(n_asked, 0);
	next_event(EVENT_FORK, &event);
	assert_int_equal(event.pid, CHILD);
	assert_int_equal(event.ppid, PARENT);
	assert_int_equal(event.has & IDS, IDS);
	assert_int_equal(event.uid, 1000);
	assert_text(event.comm, "shell");
	assert_false(EVENT_HAS(&event, cgroup));
	say_exit(CHILD, PARENT, 1000, "shell");
	cycle();
	next_event(EVENT_EXIT, &event);
	assert_int_equal(event.has & IDS, IDS);
	assert_text(event.exe, "/bin/old");
	assert_false(EVENT_HAS(&event, cgroup));
}

/* A child of the named parent has other ids: it may have made its own sibling, by CLONE_PARENT. */
static void test_clone_parent(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "stage");
	old_process(OTHER, PARENT, 0, "root");
	say_fork(PARENT, CHILD, CHILD);
	cycle();
	assert_int_equal(n_asked, 1);
	assert_false(has_event(EVENT_FORK));
	show(CHILD, PARENT, 0, "root", "/bin/root", "/new");
	cycle();
	next_event(EVENT_FORK, &event);
	assert_int_equal(event.uid, 0);
	assert_int_equal(event.euid, 0);
	assert_text(event.comm, "root");
	assert_text(event.cgroup, "/new");
	assert_false(EVENT_HAS(&event, exe));
	say_exit(CHILD, PARENT, 0, "root");
	cycle();
	next_event(EVENT_EXIT, &event);
	assert_int_equal(event.uid, 0);
	assert_text(event.exe, "/bin/root");
}

/* /proc is read too late: no user sees it as his, and the record decides in the end. */
static void test_clone_parent_late(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "stage");
	old_process(OTHER, PARENT, 0, "root");
	say_fork(PARENT, CHILD, CHILD);
	say_id(PROC_EVENT_UID, CHILD, 1000);
	answers = true;
	cycle();
	cycle();
	next_event(EVENT_FORK, &event);
	assert_int_equal(event.has & (IDS | EVENT_BIT(comm)), 0);
	assert_int_equal(event.ppid, PARENT);
	say_exit(CHILD, PARENT, 1000, "root");
	cycle();
	next_event(EVENT_EXIT, &event);
	assert_int_equal(event.uid, 1000);
	assert_int_equal(event.gid, 1000);
	assert_text(event.comm, "root");
	assert_false(EVENT_HAS(&event, exe));
}

/* It has ended, and its record arrived: this has the ids that it had all its life. */
static void test_clone_parent_ended(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "stage");
	old_process(OTHER, PARENT, 0, "root");
	answers = true;
	say_fork(PARENT, CHILD, CHILD);
	say_exit(CHILD, PARENT, 1000, "stage");
	cycle();
	cycle();
	next_event(EVENT_FORK, &event);
	assert_int_equal(event.uid, 1000);
	assert_false(EVENT_HAS(&event, euid));
}

/* An orphan can be a child of its parent's parent now, which nothing reports. All of them are asked about. */
static void test_orphans(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "shell");
	old_process(OTHER, PARENT, 1000, "shell");
	old_process(OTHER + 1, PARENT, 1000, "shell");
	old_process(OTHER + 2, PARENT, 1000, "shell");
	for (uint32_t pid = 5000; pid < 5010; pid++)
		old_process(pid, OTHER, 1000, "shell");
	for (uint32_t pid = 6000; pid < 6155; pid++)
		old_process(pid, pid < 6005 ? OTHER + 1 : OTHER + 2, 0, "shell");
	/* Who of them is the maker makes no difference. */
	say_exit(OTHER, PARENT, 1000, "shell");
	say_fork(PARENT, CHILD, CHILD);
	cycle();
	next_event(EVENT_FORK, &event);
	assert_int_equal(event.uid, 1000);
	answers = true;
	for (int i = 0; i < 5; i++)
		cycle();
	assert_int_equal(connector->adopted, 10);
	/* Here it does, with a few and with many. */
	answers = false;
	for (uint32_t dead = OTHER + 1; dead <= OTHER + 2; dead++) {
		say_exit(dead, PARENT, 1000, "shell");
		say_fork(PARENT, CHILD + dead, CHILD + dead);
		cycle();
		next_event(EVENT_FORK, &event);
		assert_int_equal(event.pid, CHILD + dead);
		assert_false(EVENT_HAS(&event, uid));
		answers = true;
		for (int i = 0; i < 5; i++)
			cycle();
		answers = false;
		/* This one had the parent's ids after all. */
		say_exit(CHILD + dead, PARENT, 1000, "shell");
		cycle();
	}
	assert_int_equal(connector->adopted, 10 + 5 + 150);
}

/* Where a process is now, nothing says. What is known of it shows in a list only. */
static void test_cgroup(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "shell");
	say_id(PROC_EVENT_UID, PARENT, 7);
	say_exit(PARENT, 1, 7, "shell");
	cycle();
	next_event(EVENT_ID, &event);
	assert_false(EVENT_HAS(&event, cgroup));
	next_event(EVENT_EXIT, &event);
	assert_int_equal(event.uid, 7);
	assert_false(EVENT_HAS(&event, cgroup));
}

/* A thread that has a name of its own may have made it. */
static void test_thread_names(void **state)
{
	struct proc_event name = { .what = PROC_EVENT_COMM };
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "server");
	say_fork(1, PARENT, PARENT + 1);
	say_fork(PARENT, CHILD, CHILD);
	answers = true;
	cycle();
	next_event(EVENT_FORK, &event);
	assert_text(event.comm, "server");
	name.event_data.comm.process_pid = PARENT + 1;
	name.event_data.comm.process_tgid = PARENT;
	strcpy(name.event_data.comm.comm, "worker");
	push(&name);
	say_fork(PARENT, CHILD + 1, CHILD + 1);
	cycle();
	cycle();
	next_event(EVENT_FORK, &event);
	assert_false(EVENT_HAS(&event, comm));
	assert_int_equal(event.uid, 1000);
}

/* A thread that has ids of its own. */
static void test_thread_ids(void **state)
{
	struct proc_event ids = { .what = PROC_EVENT_UID };
	struct fb_event event;

	(void)state;
	old_process(PARENT, 1, 1000, "server");
	say_fork(1, PARENT, PARENT + 1);
	ids.event_data.id.process_pid = PARENT + 1;
	ids.event_data.id.process_tgid = PARENT;
	ids.event_data.id.r.ruid = ids.event_data.id.e.euid = 5;
	push(&ids);
	say_fork(PARENT, CHILD, CHILD);
	answers = true;
	cycle();
	cycle();
	next_event(EVENT_FORK, &event);
	assert_int_equal(event.has & IDS, 0);
	assert_text(event.comm, "server");
}

/* Threads of the kernel get their names without a message. */
static void test_kernel_thread(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(2, 0, 0, "kthreadd");
	hub_forget(connector->hub, table_find(hub_table(connector->hub), 2), EVENT_BIT(exe));
	say_fork(2, CHILD, CHILD);
	answers = true;
	cycle();
	cycle();
	next_event(EVENT_FORK, &event);
	assert_false(EVENT_HAS(&event, comm));
	/* The name in the record is cut. */
	say_exit(CHILD, 2, 0, "kworker/R-ext4-");
	cycle();
	next_event(EVENT_EXIT, &event);
	assert_false(EVENT_HAS(&event, comm));
	say_fork(2, OTHER, OTHER);
	say_exit(OTHER, 2, 0, "jbd2/loop0-8");
	cycle();
	cycle();
	next_event(EVENT_EXIT, &event);
	assert_text(event.comm, "jbd2/loop0-8");
}

/* An exec's answer: read while the next program is loaded, it is asked again, and without proof there is no name. */
static void test_exec_unsettled(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(CHILD, 1, 1000, "old");
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	now -= 1000000000;
	show(CHILD, 1, 1000, "next", "/bin/next", "/here");
	now += 1000000000;
	settled = false;
	for (int i = 0; i < 20; i++)
		cycle();
	assert_int_equal(n_tries, 3);
	/* Until the time is over. */
	assert_false(has_event(EVENT_EXEC));
	connector->pace.coalesce_usec = 0;
	cycle();
	next_event(EVENT_EXEC, &event);
	assert_false(EVENT_HAS(&event, exe));
	assert_false(EVENT_HAS(&event, comm));
	assert_text(event.cgroup, "/here");
}

/* It ended while it was read: there was no other program. */
static void test_exec_ended(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(CHILD, 1, 1000, "old");
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	now -= 1000000000;
	show(CHILD, 1, 1000, "new", "/bin/new", "/here");
	now += 1000000000;
	settled = false;
	for (int i = 0; i < 20; i++)
		cycle();
	assert_false(has_event(EVENT_EXEC));
	say_exit(CHILD, 1, 1000, "new");
	cycle();
	next_event(EVENT_EXEC, &event);
	assert_text(event.exe, "/bin/new");
	assert_text(event.comm, "new");
}

static void test_exec_settled(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(CHILD, 1, 1000, "old");
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	now -= 1000000000;
	show(CHILD, 1, 1000, "new", "/bin/new", "/here");
	now += 1000000000;
	cycle();
	cycle();
	next_event(EVENT_EXEC, &event);
	assert_text(event.exe, "/bin/new");
	assert_text(event.comm, "new");
	/* The next program: the answer was read after its message. */
	answers = false;
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	cycle();
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	answers = true;
	cycle();
	cycle();
	next_event(EVENT_EXEC, &event);
	assert_false(EVENT_HAS(&event, exe));
	next_event(EVENT_EXEC, &event);
	assert_text(event.exe, "/bin/new");
}

/* /proc shows the next process with the pid, which began in the same tick. */
static void test_exec_of_the_next(void **state)
{
	struct fb_event event;

	(void)state;
	old_process(1, 0, 0, "init");
	/* So that all of it is in one tick. */
	now += 10 * NSEC_PER_MSEC - connector_boot_usec(connector, now) % 10000 * NSEC_PER_USEC;
	for (int next = 0; next < 2; next++) {
		uint32_t pid = CHILD + (uint32_t)next;

		answers = false;
		say_fork(1, pid, pid);
		say(PROC_EVENT_EXEC, pid, pid);
		cycle();
		show(pid, 1, 1000, "shown", "/bin/shown", "/here");
		if (next) {
			say_exit(pid, 1, 0, "gone");
			say_fork(1, pid, pid);
		}
		now += 1000;
		cycle();
		cycle();
		next_event(EVENT_EXEC, &event);
		assert_int_equal(event.pid, pid);
		assert_int_equal(EVENT_HAS(&event, exe), !next);
		assert_int_equal(EVENT_HAS(&event, cgroup), !next);
	}
}

static void assert_exe(uint32_t pid, const char *expected)
{
	const struct process *process = table_find(hub_table(connector->hub), pid);

	assert_non_null(process);
	assert_int_equal((process->has & EVENT_BIT(exe)) != 0, expected != NULL);
	if (expected)
		assert_string_equal(process->exe, expected);
}

/* Answers that nobody waited for: one from after the next exec, or from before it has run, is not about the program. */
static void test_exec_late(void **state)
{
	(void)state;
	connector->pace.coalesce_usec = 0;
	old_process(CHILD, 1, 1000, "old");
	now -= 1000000000;
	show(CHILD, 1, 1000, "new", "/bin/new", "/here");
	now += 1000000000;
	answers = false;
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	cycle();
	assert_exe(CHILD, NULL);
	settled = false;
	answers = true;
	cycle();
	assert_exe(CHILD, NULL);
	settled = true;
	answers = false;
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	cycle();
	answers = true;
	cycle();
	assert_exe(CHILD, "/bin/new");
	answers = false;
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	cycle();
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	answers = true;
	/* The answer to the first, then the message of the second, then the answer to that. */
	living.exe = event_text("/bin/other");
	cycle();
	assert_exe(CHILD, NULL);
	cycle();
	assert_exe(CHILD, "/bin/other");
	/* The same, read before the second one: it is published when the answer is used. */
	answers = false;
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	cycle();
	say(PROC_EVENT_EXEC, CHILD, CHILD);
	now -= 500;
	answers = true;
	cycle();
	assert_exe(CHILD, NULL);
}

int main(void)
{
#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_fork),
		TEST(test_clone_parent),
		TEST(test_clone_parent_late),
		TEST(test_clone_parent_ended),
		TEST(test_orphans),
		TEST(test_cgroup),
		TEST(test_thread_names),
		TEST(test_thread_ids),
		TEST(test_kernel_thread),
		TEST(test_exec_unsettled),
		TEST(test_exec_ended),
		TEST(test_exec_settled),
		TEST(test_exec_of_the_next),
		TEST(test_exec_late),
	};

	return cmocka_run_group_tests_name("connector", tests, NULL, NULL);
}
