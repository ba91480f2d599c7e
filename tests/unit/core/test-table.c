// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/allocations.h"
#include "tests/unit/table-events.h"

static void test_life(void **state)
{
	struct table *table = *state;
	struct fb_event event = make(EVENT_FORK, 100, 5000000);
	const struct process *process;

	EVENT_SET(&event, seq, 77);
	EVENT_SET(&event, ppid, 1);
	EVENT_SET(&event, uid, 1000);
	EVENT_SET(&event, comm, event_text("sh"));
	EVENT_SET(&event, cgroup, event_text("/system.slice/cron.service"));
	EVENT_SET(&event, unit, event_text("cron.service"));
	apply(table, &event);
	assert_int_equal(table_count(table), 1);
	process = table_find(table, 100);
	assert_non_null(process);
	assert_true(process->has == (EVENT_BIT(start_usec) | EVENT_BIT(ppid) | EVENT_BIT(uid) |
				     EVENT_BIT(comm) | EVENT_BIT(cgroup) | EVENT_BIT(unit)));
	assert_int_equal(process->born, 77);
	assert_int_equal(process->uid, 1000);
	assert_string_equal(process->comm, "sh");
	assert_string_equal(process->cgroup, "/system.slice/cron.service");
	assert_ptr_equal(process->unit.data, process->cgroup + 14);
	assert_null(process->exe);

	event = make(EVENT_EXEC, 100, 5000000);
	EVENT_SET(&event, exe, event_text("/usr/bin/make"));
	EVENT_SET(&event, comm, event_text("make"));
	apply(table, &event);
	assert_string_equal(process->exe, "/usr/bin/make");
	assert_string_equal(process->comm, "make");
	assert_int_equal(process->uid, 1000);
	assert_int_equal(process->born, 77);

	/* An exec without a known path: the old program does not run any more. */
	event = make(EVENT_EXEC, 100, 5000000);
	apply(table, &event);
	assert_null(process->exe);
	assert_false(knows(process, EVENT_BIT(exe)));
	assert_false(knows(process, EVENT_BIT(comm)));

	event = make(EVENT_ID, 100, 5000000);
	EVENT_SET(&event, uid, 0);
	EVENT_SET(&event, euid, 0);
	EVENT_SET(&event, old_uid, 1000);
	apply(table, &event);
	assert_int_equal(process->uid, 0);
	assert_true(knows(process, EVENT_BIT(euid)));

	event = make(EVENT_SESSION, 100, 5000000);
	EVENT_SET(&event, session, 100);
	EVENT_SET(&event, tty, event_text("pts/3"));
	apply(table, &event);
	assert_int_equal(process->session, 100);
	assert_string_equal(process->tty, "pts/3");
	EVENT_CLEAR(&event, tty);
	apply(table, &event);
	assert_false(knows(process, EVENT_BIT(tty)));

	apply_exit(table, 100, 5000000);
	assert_null(table_find(table, 100));
	assert_int_equal(table_count(table), 0);
	apply_exit(table, 100, 5000000);
	assert_int_equal(table_count(table), 0);
}

static void test_ignored(void **state)
{
	struct table *table = *state;
	struct fb_event event;

	for (enum event_type type = EVENT_NONE; type < _EVENT_TYPE_MAX; type++) {
		bool adds = type != EVENT_NONE && type != EVENT_EXIT && type != EVENT_SOURCE &&
			    type != EVENT_LOST && type != EVENT_READY && type != EVENT_HEARTBEAT;

		event = make(type, 100 + type, 1);
		apply(table, &event);
		assert_int_equal(table_find(table, 100 + type) != NULL, adds);
	}
	fb_event_init(&event, EVENT_FORK); /* without a process */
	apply(table, &event);

	event = make(EVENT_FORK, 50, 1);
	EVENT_SET(&event, tid, 51);
	apply(table, &event);
	assert_null(table_find(table, 50));
	event.tid = 50;
	apply(table, &event);
	assert_non_null(table_find(table, 50));
	event = make(EVENT_EXIT, 50, 1);
	EVENT_SET(&event, tid, 51);
	apply(table, &event);
	assert_non_null(table_find(table, 50));
}

static void test_start(void **state)
{
	struct table *table = *state;
	struct fb_event event = make(EVENT_COMM, 7, 0);
	const struct process *process;

	apply(table, &event);
	process = table_find(table, 7);
	assert_false(knows(process, EVENT_BIT(start_usec)));
	assert_int_equal(process->changed, 0);
	event = make(EVENT_COMM, 7, 1000000);
	EVENT_SET(&event, uid, 5);
	EVENT_SET(&event, seq, 9);
	apply(table, &event);
	assert_ptr_equal(table_find(table, 7), process);
	assert_int_equal(process->changed, 9);
	assert_true(knows(process, EVENT_BIT(start_usec)));

	/* Within the slack it is the same one, and the first value stays: two steps do not add up. */
	event = make(EVENT_COMM, 7, 1000000 + EVENT_START_SLACK_USEC);
	apply(table, &event);
	event = make(EVENT_COMM, 7, 1000000 - EVENT_START_SLACK_USEC);
	apply(table, &event);
	assert_int_equal(process->id.start_usec, 1000000);
	assert_int_equal(process->uid, 5);
	assert_true(knows(process, EVENT_BIT(uid)));

	event = make(EVENT_COMM, 7, 1000000 + EVENT_START_SLACK_USEC + 1);
	apply(table, &event);
	process = table_find(table, 7);
	assert_int_equal(process->id.start_usec, 1000000 + EVENT_START_SLACK_USEC + 1);
	assert_false(knows(process, EVENT_BIT(uid)));
	assert_int_equal(table_count(table), 1);

	/* An event without a start is about the one that is there. */
	event = make(EVENT_COMM, 7, 0);
	EVENT_SET(&event, uid, 6);
	apply(table, &event);
	assert_int_equal(table_find(table, 7)->uid, 6);
}

/* Fields that an event lacks stay; there are other ways to remove a field of a process. */
static void test_forget(void **state)
{
	struct table *table = *state;
	const struct process *process;

	for (uint32_t pid = 1; pid < 10; pid++) {
		struct fb_event event = make(EVENT_COMM, pid, 1000000);

		EVENT_SET(&event, uid, 5);
		EVENT_SET(&event, tty, event_text("pts/1"));
		apply(table, &event);
	}
	process = table_find(table, 7);
	table_forget(table, process, EVENT_BIT(tty) | EVENT_BIT(login_uid));
	assert_ptr_equal(table_find(table, 7), process);
	for (uint32_t pid = 1; pid < 10; pid++) {
		assert_int_equal(knows(table_find(table, pid), EVENT_BIT(tty)), pid != 7);
		assert_true(knows(table_find(table, pid), EVENT_BIT(uid) | EVENT_BIT(start_usec)));
	}
}

static void test_reuse(void **state)
{
	struct table *table = *state;
	struct fb_event event;
	const struct process *process;

	apply_fork(table, 1, 1, 0, 1);
	apply_fork(table, 10, 1000000, 1, 2);
	apply_fork(table, 11, 1100000, 10, 3);
	event = make(EVENT_EXEC, 10, 1000000);
	EVENT_SET(&event, exe, event_text("/bin/a"));
	apply(table, &event);

	/* The exit of 10 was lost. */
	apply_fork(table, 10, 2000000, 1, 9);
	process = table_find(table, 10);
	assert_int_equal(process->born, 9);
	assert_null(process->exe);
	assert_null(process->children);
	assert_int_equal(count_children(table_find(table, 1)), 1);
	assert_false(knows(table_find(table, 11), EVENT_BIT(ppid)));
	assert_int_equal(table_count(table), 3);

	/* Without a start, a fork with a pid in the table is also a new process. */
	apply_fork(table, 11, 0, 10, 12);
	assert_int_equal(table_find(table, 11)->born, 12);
	assert_false(knows(table_find(table, 11), EVENT_BIT(start_usec)));
	assert_int_equal(table_count(table), 3);

	/* Its own fork, received after /proc was read: the same process, which keeps its fields and its children. */
	event = make(EVENT_PROCESS, 10, 2000000);
	EVENT_SET(&event, exe, event_text("/bin/b"));
	apply(table, &event);
	apply_fork(table, 10, 2000000 + EVENT_START_SLACK_USEC, 1, 15);
	process = table_find(table, 10);
	assert_string_equal(process->exe, "/bin/b");
	assert_int_equal(process->born, 15);
	assert_int_equal(count_children(process), 1);
}

/* The last event of an older process, received after its pid was reused. */
static void test_predecessor(void **state)
{
	struct table *table = *state;
	struct fb_event event = make(EVENT_PROCESS, 10, 9000000);

	apply(table, &event);
	event = make(EVENT_COMM, 10, 1000000);
	EVENT_SET(&event, boot_usec, 8000000);
	apply(table, &event);
	event = make(EVENT_EXIT, 10, 1000000);
	EVENT_SET(&event, boot_usec, 8500000);
	apply(table, &event);
	assert_int_equal(table_find(table, 10)->id.start_usec, 9000000);

	/* But an event from after its start shows that the pid was reused, or is free. */
	event = make(EVENT_COMM, 10, 1000000);
	EVENT_SET(&event, boot_usec, 9500000);
	apply(table, &event);
	assert_int_equal(table_find(table, 10)->id.start_usec, 1000000);
	event = make(EVENT_EXIT, 10, 5000000);
	EVENT_SET(&event, boot_usec, 9500000);
	apply(table, &event);
	assert_null(table_find(table, 10));
}

static void test_texts(void **state)
{
	struct table *table = *state;
	struct fb_event event = make(EVENT_PROCESS, 9, 1);
	char *huge = malloc(100000);
	const struct process *process;

	memset(huge, 'a', 100000);
	EVENT_SET(&event, comm, ((struct event_text){ huge, 100000 }));
	EVENT_SET(&event, tty, ((struct event_text){ huge, PROCESS_TTY_MAX }));
	EVENT_SET(&event, exe, ((struct event_text){ huge, 100000 }));
	EVENT_SET(&event, cgroup, ((struct event_text){ huge, 100000 }));
	EVENT_SET(&event, unit, ((struct event_text){ huge, 5000 }));
	apply(table, &event);
	process = table_find(table, 9);
	assert_int_equal(process->comm_len, PROCESS_COMM_MAX - 1);
	assert_int_equal(strlen(process->comm), PROCESS_COMM_MAX - 1);
	assert_int_equal(process->tty_len, PROCESS_TTY_MAX - 1);
	assert_int_equal(strlen(process->exe), EVENT_PATH_MAX);
	assert_int_equal(strlen(process->cgroup), EVENT_PATH_MAX);
	assert_false(knows(process, EVENT_BIT(unit)));

	/* Empty, and with a NUL inside */
	event = make(EVENT_PROCESS, 9, 1);
	EVENT_SET(&event, comm, ((struct event_text){ NULL, 0 }));
	EVENT_SET(&event, tty, ((struct event_text){ "a\0b", 3 }));
	EVENT_SET(&event, exe, ((struct event_text){ "/x\0y", 4 }));
	EVENT_SET(&event, cgroup, ((struct event_text){ NULL, 0 }));
	EVENT_SET(&event, unit, ((struct event_text){ NULL, 0 }));
	apply(table, &event);
	assert_true(knows(process, EVENT_BIT(comm) | EVENT_BIT(exe) | EVENT_BIT(cgroup)));
	assert_int_equal(process->comm_len, 0);
	assert_int_equal(process->tty_len, 3);
	assert_string_equal(process->exe, "/x");
	assert_string_equal(process->cgroup, "");
	assert_false(knows(process, EVENT_BIT(unit)));

	/* A unit belongs to its cgroup: it goes with it, and one from elsewhere is none. */
	event = make(EVENT_PROCESS, 9, 1);
	EVENT_SET(&event, cgroup, event_text("/s/a.service"));
	EVENT_SET(&event, unit, event_text("a.service"));
	apply(table, &event);
	assert_int_equal(process->unit.len, 9);
	event = make(EVENT_PROCESS, 9, 1);
	EVENT_SET(&event, cgroup, event_text("/s/a.service"));
	apply(table, &event);
	assert_true(knows(process, EVENT_BIT(unit)));
	event.cgroup = event_text("/s/a.serviceX");
	apply(table, &event);
	assert_false(knows(process, EVENT_BIT(unit)));
	EVENT_SET(&event, unit, event_text("b.service"));
	apply(table, &event);
	assert_false(knows(process, EVENT_BIT(unit)));
	free(huge);
}

static void test_describe(void **state)
{
	struct table *table = *state;
	struct fb_event full = make(EVENT_PROCESS, 30, 4000000), event;
	const struct process *process;

	EVENT_SET(&full, ppid, 1);
	EVENT_SET(&full, parent_start_usec, 2);
	EVENT_SET(&full, uid, 3);
	EVENT_SET(&full, gid, 4);
	EVENT_SET(&full, euid, 5);
	EVENT_SET(&full, egid, 6);
	EVENT_SET(&full, login_uid, 7);
	EVENT_SET(&full, session, 8);
	EVENT_SET(&full, cgroup_id, 9);
	EVENT_SET(&full, ns_pid, 10);
	EVENT_SET(&full, pid_ns, 11);
	EVENT_SET(&full, tty, event_text("tty1"));
	EVENT_SET(&full, comm, event_text("c\"\n"));
	EVENT_SET(&full, exe, event_text("/e"));
	EVENT_SET(&full, cgroup, event_text("/x/u.service"));
	EVENT_SET(&full, unit, event_text("u.service"));
	apply(table, &full);
	process = table_find(table, 30);
	fb_event_init(&event, EVENT_PROCESS);
	process_describe(process, &event, FIELDS_ALL);
	assert_true(fb_event_equal(&event, &full));

	/* Fields that the event has stay; fields that were not requested are not added. */
	fb_event_init(&event, EVENT_EXIT);
	EVENT_SET(&event, uid, 99);
	process_describe(process, &event, EVENT_BIT(uid) | EVENT_BIT(gid));
	assert_true(event.has == (EVENT_BIT(uid) | EVENT_BIT(gid)));
	assert_int_equal(event.uid, 99);

	/* Published events are applied again, with texts of the table itself, even for another process. */
	full = make(EVENT_COMM, 30, 0);
	process_describe(process, &full, FIELDS_ALL);
	apply(table, &full);
	full.start_usec = 8000000;
	apply(table, &full);
	process = table_find(table, 30);
	assert_int_equal(process->id.start_usec, 8000000);
	assert_string_equal(process->comm, "c\"\n");
	assert_string_equal(process->exe, "/e");
}

/* Once the table has its size, processes come, run programs and go without an allocation. */
static void test_no_allocations(void **state)
{
	static const char *const programs[] = { "/bin/a", "/bin/b", "/bin/c" };
	struct table *table = *state;
	unsigned long before = 0;
	struct fb_event event;

	if (!allocations_are_counted())
		return; /* Not skip(): what cmocka prints for that, prove takes for a failure. */
	event = make(EVENT_PROCESS, 1, 1);
	EVENT_SET(&event, cgroup, event_text("/system.slice/x.service"));
	EVENT_SET(&event, unit, event_text("x.service"));
	apply(table, &event);
	for (uint32_t i = 0; i < 20000; i++) {
		if (i == 10000)
			before = allocations;
		event = make(EVENT_FORK, 10 + i % 500, 1000000 + i);
		EVENT_SET(&event, ppid, 1);
		process_describe(table_find(table, 1), &event, FIELDS_ALL);
		apply(table, &event);
		event = make(EVENT_EXEC, 10 + i % 500, 1000000 + i);
		EVENT_SET(&event, exe, event_text(programs[i % 3]));
		apply(table, &event);
		apply_exit(table, 10 + i % 500, 1000000 + i);
	}
	assert_int_equal(allocations, before);
}

/* The publisher of an exit needs its texts when the process has left the table. */
static void test_last_words(void **state)
{
	enum { N = 10000 };
	struct table *table = *state;
	struct fb_event event;
	char exe[32];

	for (uint32_t pid = 1; pid <= N; pid++) {
		event = make(EVENT_PROCESS, pid, pid);
		snprintf(exe, sizeof(exe), "/exe/%u", pid);
		EVENT_SET(&event, comm, event_text(exe + 1));
		EVENT_SET(&event, exe, event_text(exe));
		apply(table, &event);
	}
	for (uint32_t pid = 1; pid <= N; pid++) {
		event = make(EVENT_EXIT, pid, pid);
		process_describe(table_find(table, pid), &event, FIELDS_ALL);
		apply(table, &event);
		assert_null(table_find(table, pid));
		snprintf(exe, sizeof(exe), "/exe/%u", pid);
		assert_true(event_text_equal(event.exe, event_text(exe)));
		assert_true(event_text_equal(event.comm, event_text(exe + 1)));
	}
}

static void test_resolve(void **state)
{
	struct table *table = *state;
	struct process_id pids[] = { { 10, 0 }, { 10, 1000000 }, { 11, 0 }, { 12, 5 } };
	struct filter filter = { .pids = pids, .n_pids = 4, .has_tree = true, .tree = { 11, 0 } };
	struct filter_error error = { "", "" };

	apply_fork(table, 10, 1000000, 1, 0);
	apply_fork(table, 11, 1100000, 10, 0);
	assert_int_equal(table_resolve(table, &filter, &error), 0);
	assert_int_equal(filter.n_pids, 3);
	assert_int_equal(pids[0].pid, 10);
	assert_int_equal(pids[0].start_usec, 1000000);
	assert_int_equal(pids[1].start_usec, 1100000);
	assert_int_equal(pids[2].start_usec, 5);
	assert_int_equal(filter.tree.start_usec, 1100000);
	assert_string_equal(error.key, "");

	/* Of a process whose fork was reported, only the reported start is right; an older one may have had a similar one. */
	apply_fork(table, 30, 3000003, 10, 5);
	apply_fork(table, 20, 2000003, 10, 0);
	pids[0] = (struct process_id){ 20, 2000001 };
	pids[1] = (struct process_id){ 20, 2020001 };
	pids[2] = (struct process_id){ 30, 3000001 };
	assert_int_equal(table_resolve(table, &filter, &error), 0);
	assert_int_equal(pids[2].start_usec, 3000001);
	assert_int_equal(pids[0].start_usec, 2000003);
	assert_int_equal(pids[1].start_usec, 2020001);

	filter.tree = (struct process_id){ 4242, 0 };
	assert_int_equal(table_resolve(table, &filter, &error), FILTER_E_INVALID);
	assert_string_equal(error.key, "tree");
	assert_non_null(strstr(error.detail, "4242"));
	pids[1] = (struct process_id){ 4343, 0 };
	assert_int_equal(table_resolve(table, &filter, &error), FILTER_E_INVALID);
	assert_string_equal(error.key, "pids");
	assert_non_null(strstr(error.detail, "4343"));

	/* A process with an unknown start cannot be distinguished from later ones with its pid. */
	apply_fork(table, 4343, 0, 1, 0);
	assert_int_equal(table_resolve(table, &filter, &error), FILTER_E_INVALID);
	assert_non_null(strstr(error.detail, "4343"));

	filter = (struct filter){ .n_pids = 0 };
	assert_int_equal(table_resolve(table, &filter, &error), 0);
}

/* A walk finds every process that lives during the whole walk once; others that it finds were started meanwhile. */
static void test_walk(void **state)
{
	struct table *table = *state;
	enum { N = 3000 };
	unsigned char seen[N + 1] = { 0 };
	const struct process *process;
	uint32_t next = N + 1;
	size_t slot = 0;

	assert_null(table_walk(table, &slot));
	for (uint32_t pid = 1; pid <= N; pid++)
		apply_fork(table, pid, 1000 + pid, 0, pid);
	for (uint32_t pid = 10; pid <= N; pid += 10)
		apply_exit(table, pid, 0);

	slot = 0;
	for (uint32_t step = 1; (process = table_walk(table, &slot)); step++) {
		if (process->born > N)
			continue;
		assert_int_equal(seen[process->id.pid]++, 0);
		if (step > N / 2)
			continue;
		/* During the walk some with pid % 3 == 0 end, before and after its position, and others start. */
		if (table_find(table, 3 * step))
			apply_exit(table, 3 * step, 0);
		apply_fork(table, next, 1000 + next, 0, next);
		next++;
		if (table_find(table, N - 3 * step))
			apply_exit(table, N - 3 * step, 0);
		apply_fork(table, next, 1000 + next, 0, next);
		next++;
	}
	for (uint32_t pid = 1; pid <= N; pid++)
		if (pid % 3 != 0 && pid % 10 != 0)
			assert_int_equal(seen[pid], 1);
	for (uint32_t pid = 10; pid <= N; pid += 10)
		assert_int_equal(seen[pid], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reuse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_predecessor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_describe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_allocations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
