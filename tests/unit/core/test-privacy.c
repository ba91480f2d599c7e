// SPDX-License-Identifier: LGPL-2.1-or-later
/* The life of a process, event by event, and what of it is private after each: in the event, and in the table. */
#include "core/hub.h"
#include "core/privacy.h"
#include "log-format.h"
#include "tests/unit/support.h"
#include "tests/unit/table-events.h"

#define USER 1000
#define NONE PRIVACY_NONE
#define ALL  PRIVACY_ALL

enum { OWN, SETUID, SETGID, ROOT, UNKNOWN };

static void set_ids(struct fb_event *event, int ids)
{
	EVENT_SET(event, uid, ids == ROOT ? 0 : USER);
	EVENT_SET(event, gid, ids == ROOT ? 0 : USER);
	EVENT_SET(event, euid, ids == SETUID || ids == ROOT ? 0 : USER);
	if (ids != UNKNOWN)
		EVENT_SET(event, egid, ids == SETGID || ids == ROOT ? 0 : USER);
}

/* What /proc shows beside. */
#define NOT_READ (-1)

/* Publish as the hub does. Return: what is private of the event. */
static uint32_t happen(struct table *table, enum event_type type, uint32_t pid, int ids, int protection)
{
	struct fb_event event = make(type, pid, pid * UINT64_C(1000000));

	set_ids(&event, ids);
	EVENT_SET(&event, ppid, pid - 1);
	if (protection != NOT_READ)
		EVENT_SET(&event, privacy, (uint32_t)protection);
	table_mark(table, &event);
	apply(table, &event);
	return privacy_of(&event);
}

static uint32_t learn(struct table *table, uint32_t pid, int ids, int protection)
{
	struct fb_event event = make(EVENT_PROCESS, pid, pid * UINT64_C(1000000));

	set_ids(&event, ids);
	if (protection != NOT_READ)
		EVENT_SET(&event, privacy, (uint32_t)protection);
	apply(table, &event);
	return table_privacy(table, table_find(table, pid));
}

static uint32_t now(const struct table *table, uint32_t pid)
{
	struct fb_event event;

	table_describe(table, table_find(table, pid), &event);
	assert_int_equal(privacy_of(&event), table_privacy(table, table_find(table, pid)));
	return privacy_of(&event);
}

/* Process 10 is the user's shell. */
static void begin(struct table *table)
{
	assert_int_equal(learn(table, 10, OWN, NONE), NONE);
}

static void test_own(void **state)
{
	struct table *table = *state;

	begin(table);
	assert_int_equal(happen(table, EVENT_FORK, 11, OWN, NOT_READ), NONE);
	assert_int_equal(happen(table, EVENT_EXEC, 11, OWN, NOT_READ), NONE);
	assert_int_equal(happen(table, EVENT_COMM, 11, OWN, NOT_READ), NONE);
	assert_int_equal(happen(table, EVENT_EXEC, 11, OWN, NONE), NONE);
	assert_int_equal(now(table, 11), NONE);
	assert_int_equal(happen(table, EVENT_EXIT, 11, OWN, NOT_READ), NONE);
}

/* A setuid or setgid program, until its exit */
static void test_set_id(void **state)
{
	struct table *table = *state;

	begin(table);
	for (int ids = SETUID; ids <= SETGID; ids++) {
		assert_int_equal(happen(table, EVENT_FORK, 11, OWN, NOT_READ), NONE);
		assert_int_equal(happen(table, EVENT_ID, 11, ids, NOT_READ), ALL);
		assert_int_equal(happen(table, EVENT_EXEC, 11, ids, NOT_READ), ALL);
		assert_int_equal(happen(table, EVENT_EXIT, 11, ids, NOT_READ), ALL);
	}
	assert_int_equal(now(table, 10), NONE);
}

/* It drops its rights: what it has read is still in its counters, and the program is the same. */
static void test_dropped(void **state)
{
	struct table *table = *state;

	begin(table);
	happen(table, EVENT_FORK, 11, OWN, NOT_READ);
	happen(table, EVENT_ID, 11, SETUID, NOT_READ);
	happen(table, EVENT_EXEC, 11, SETUID, NOT_READ);
	assert_int_equal(happen(table, EVENT_ID, 11, OWN, NOT_READ), ALL);
	assert_int_equal(happen(table, EVENT_COMM, 11, OWN, NOT_READ), ALL);
	assert_int_equal(now(table, 11), ALL);
	/* Its child has the same memory, and the same files. */
	assert_int_equal(happen(table, EVENT_FORK, 12, OWN, NOT_READ), ALL);
	assert_int_equal(happen(table, EVENT_EXIT, 12, OWN, NOT_READ), ALL);
	/* The next program is the user's own; the counters go on. */
	assert_int_equal(happen(table, EVENT_EXEC, 11, OWN, NOT_READ), PRIVACY_USAGE);
	assert_int_equal(now(table, 11), PRIVACY_USAGE);
	/* A child's counters begin at 0. */
	assert_int_equal(happen(table, EVENT_FORK, 12, OWN, NOT_READ), NONE);
	assert_int_equal(happen(table, EVENT_EXIT, 12, OWN, NOT_READ), NONE);
	assert_int_equal(happen(table, EVENT_EXIT, 11, OWN, NOT_READ), PRIVACY_USAGE);
}

/* A daemon of root becomes the user, and then runs the user's program, as login does. */
static void test_daemon(void **state)
{
	struct table *table = *state;

	assert_int_equal(learn(table, 10, ROOT, NONE), NONE);
	assert_int_equal(happen(table, EVENT_FORK, 11, ROOT, NOT_READ), NONE);
	assert_int_equal(happen(table, EVENT_ID, 11, OWN, NOT_READ), ALL);
	assert_int_equal(now(table, 11), ALL);
	assert_int_equal(happen(table, EVENT_EXEC, 11, OWN, NOT_READ), PRIVACY_USAGE);
}

/* A program with file capabilities, or one that the user cannot read: its ids are the user's, but the kernel protects it. */
static void test_protected(void **state)
{
	struct table *table = *state;

	begin(table);
	happen(table, EVENT_FORK, 11, OWN, NOT_READ);
	assert_int_equal(happen(table, EVENT_EXEC, 11, OWN, ALL), ALL);
	assert_int_equal(happen(table, EVENT_COMM, 11, OWN, NOT_READ), ALL);
	assert_int_equal(happen(table, EVENT_EXEC, 11, OWN, NONE), PRIVACY_USAGE);
	/* /proc was read after the exec had been published. */
	happen(table, EVENT_FORK, 12, OWN, NOT_READ);
	assert_int_equal(happen(table, EVENT_EXEC, 12, OWN, NOT_READ), NONE);
	assert_int_equal(learn(table, 12, OWN, ALL), ALL);
	assert_int_equal(happen(table, EVENT_EXIT, 12, OWN, NOT_READ), ALL);
	/* The exit shows that it used a capability. */
	happen(table, EVENT_FORK, 12, OWN, NOT_READ);
	assert_int_equal(happen(table, EVENT_EXIT, 12, OWN, PRIVACY_USAGE), PRIVACY_USAGE);
}

static void test_unknown(void **state)
{
	struct table *table = *state;

	/* Processes that no fork, or only /proc has shown */
	assert_int_equal(happen(table, EVENT_COMM, 20, OWN, NOT_READ), ALL);
	assert_int_equal(happen(table, EVENT_EXEC, 30, OWN, NOT_READ), PRIVACY_USAGE);
	assert_int_equal(happen(table, EVENT_EXEC, 40, OWN, NONE), NONE);
	assert_int_equal(happen(table, EVENT_EXIT, 50, OWN, NOT_READ), ALL);
	assert_int_equal(learn(table, 60, OWN, NOT_READ), ALL);
	assert_int_equal(learn(table, 70, OWN, ALL), ALL);
	assert_int_equal(learn(table, 80, SETUID, NONE), ALL);
	assert_int_equal(learn(table, 90, UNKNOWN, NONE), ALL);
	/* An unknown parent */
	assert_int_equal(happen(table, EVENT_FORK, 101, OWN, NOT_READ), ALL);
	assert_int_equal(happen(table, EVENT_EXEC, 101, OWN, NOT_READ), PRIVACY_USAGE);
	/* Unknown ids */
	begin(table);
	assert_int_equal(happen(table, EVENT_FORK, 11, UNKNOWN, NOT_READ), ALL);
	assert_int_equal(happen(table, EVENT_EXEC, 11, UNKNOWN, NONE), ALL);
}

/* The parent in the event is not the one that called clone(2). */
static void test_clone_parent(void **state)
{
	struct table *table = *state;
	struct fb_event event = make(EVENT_FORK, 11, 11000000);

	begin(table);
	set_ids(&event, OWN);
	EVENT_SET(&event, ppid, 10);
	EVENT_SET(&event, clone_flags, 0x8000);
	table_mark(table, &event);
	assert_int_equal(privacy_of(&event), ALL);
}

/* A pid that is used again: nothing of the former process is left. */
static void test_reused(void **state)
{
	struct table *table = *state;
	struct fb_event event = make(EVENT_FORK, 11, 99000000);

	begin(table);
	happen(table, EVENT_FORK, 11, OWN, NOT_READ);
	happen(table, EVENT_EXEC, 11, SETUID, NOT_READ);
	set_ids(&event, OWN);
	EVENT_SET(&event, ppid, 10);
	table_mark(table, &event);
	apply(table, &event);
	assert_int_equal(privacy_of(&event), NONE);
	assert_int_equal(now(table, 11), NONE);
	/* A late event of the former one does not know the new one's marks. */
	assert_int_equal(happen(table, EVENT_COMM, 11, OWN, NOT_READ), ALL);
	/* Nor does a child of the former one. */
	event = make(EVENT_FORK, 12, 12000000);
	set_ids(&event, OWN);
	EVENT_SET(&event, ppid, 11);
	EVENT_SET(&event, parent_start_usec, 11000000);
	table_mark(table, &event);
	assert_int_equal(privacy_of(&event), ALL);
}

/* After a loss everything is private, until it is known that it is not. */
static void test_lost(void **state)
{
	struct table *table = *state;

	begin(table);
	happen(table, EVENT_FORK, 11, OWN, NOT_READ);
	happen(table, EVENT_EXEC, 11, SETUID, NOT_READ);
	happen(table, EVENT_EXEC, 11, OWN, NOT_READ);
	learn(table, 12, OWN, NONE);
	table_doubt(table);
	for (uint32_t pid = 10; pid <= 12; pid++)
		assert_int_equal(now(table, pid), ALL);
	assert_int_equal(happen(table, EVENT_COMM, 10, OWN, NOT_READ), ALL);
	assert_int_equal(happen(table, EVENT_FORK, 13, OWN, NOT_READ), ALL);
	assert_int_equal(happen(table, EVENT_EXIT, 13, OWN, NOT_READ), ALL);
	/* Learned without the kernel's protection: not enough. */
	assert_int_equal(learn(table, 10, OWN, NOT_READ), ALL);
	/* The scan: 10 is as it was, 11 was privileged once, 12 has run a privileged program that was lost. */
	assert_int_equal(learn(table, 10, OWN, NONE), NONE);
	assert_int_equal(learn(table, 11, OWN, NONE), PRIVACY_USAGE);
	assert_int_equal(learn(table, 12, OWN, ALL), ALL);
	/* An exec shows the program, but not what was before. */
	table_doubt(table);
	assert_int_equal(happen(table, EVENT_EXEC, 10, OWN, NOT_READ), PRIVACY_USAGE);
	assert_int_equal(happen(table, EVENT_EXEC, 10, OWN, NOT_READ), PRIVACY_USAGE);
	assert_int_equal(now(table, 10), PRIVACY_USAGE);
	assert_int_equal(happen(table, EVENT_EXEC, 12, OWN, NONE), PRIVACY_USAGE);
}

/* A change of ids that only /proc shows, because the event was lost */
static void test_lost_ids(void **state)
{
	struct table *table = *state;

	learn(table, 10, ROOT, NONE);
	table_doubt(table);
	assert_int_equal(learn(table, 10, OWN, ALL), ALL);
	learn(table, 20, ROOT, NONE);
	table_doubt(table);
	assert_int_equal(learn(table, 20, OWN, NONE), PRIVACY_USAGE);
}

/* Threads have the marks of their process. */
static void test_threads(void **state)
{
	struct table *table = *state;

	begin(table);
	for (int ids = OWN; ids <= SETUID; ids++) {
		struct fb_event event = make(EVENT_EXIT, 11, 11000000);

		happen(table, EVENT_FORK, 11, OWN, NOT_READ);
		happen(table, EVENT_EXEC, 11, ids, NOT_READ);
		happen(table, EVENT_ID, 11, OWN, NOT_READ);
		happen(table, EVENT_EXEC, 11, OWN, NOT_READ);
		set_ids(&event, OWN);
		EVENT_SET(&event, tid, 12);
		table_mark(table, &event);
		assert_int_equal(privacy_of(&event), PRIVACY_USAGE);
	}
}

/* A record has the field only where its ids do not say the same, so most records are no longer than before. */
static void test_records(void **state)
{
	struct table *table = *state;
	struct fb_event event = make(EVENT_FORK, 11, 11000000);

	begin(table);
	set_ids(&event, OWN);
	EVENT_SET(&event, ppid, 10);
	table_mark(table, &event);
	assert_false(EVENT_HAS(&event, privacy));
	apply(table, &event);
	event = make(EVENT_ID, 11, 11000000);
	set_ids(&event, SETUID);
	table_mark(table, &event);
	assert_false(EVENT_HAS(&event, privacy));
	set_ids(&event, OWN);
	table_mark(table, &event);
	assert_true(EVENT_HAS(&event, privacy));
	event = make(EVENT_LOST, 0, 0);
	table_mark(table, &event);
	assert_false(EVENT_HAS(&event, privacy));
}

/* A restarted broker: the log has the marks, but what happened since its end is not known. */
static void test_restart(void **state)
{
	struct fb_event event;
	struct log *log;
	struct hub *hub;

	(void)state;
	test_dir_make();
	for (int run = 0; run < 2; run++) {
		assert_int_equal(log_open(&log, test_path("log"), 8 * LOG_BLOCK_SIZE, (gid_t)-1), 0);
		assert_int_equal(hub_new(&hub, log, 1 << 20), 0);
		if (run == 0) {
			event = make(EVENT_PROCESS, 10, 10000000);
			set_ids(&event, OWN);
			EVENT_SET(&event, privacy, NONE);
			assert_int_equal(hub_learn(hub, &event), 0);
			for (uint32_t pid = 11; pid <= 12; pid++) {
				event = make(EVENT_FORK, pid, pid * UINT64_C(1000000));
				set_ids(&event, OWN);
				EVENT_SET(&event, ppid, 10);
				hub_publish(hub, &event);
			}
			event = make(EVENT_ID, 12, 12000000);
			set_ids(&event, OWN);
			hub_publish(hub, &event);
		} else {
			assert_int_equal(hub_restore(hub), 0);
			assert_int_equal(now(hub_table(hub), 11), NONE);
			assert_int_equal(now(hub_table(hub), 12), ALL);
			hub_begin_outage(hub, NULL, NULL, 1);
			assert_int_equal(now(hub_table(hub), 11), ALL);
			for (uint32_t pid = 11; pid <= 12; pid++) {
				event = make(EVENT_PROCESS, pid, pid * UINT64_C(1000000));
				set_ids(&event, OWN);
				EVENT_SET(&event, privacy, NONE);
				assert_int_equal(hub_learn(hub, &event), 0);
			}
			/* Reporting the outage does not begin it again. */
			hub_source_changed(hub, "test", "started", NULL);
			assert_int_equal(now(hub_table(hub), 11), NONE);
			assert_int_equal(now(hub_table(hub), 12), PRIVACY_USAGE);
			hub_lost(hub, "netlink", 1, 0, 0, NULL);
			assert_int_equal(now(hub_table(hub), 11), ALL);
		}
		hub_free(hub);
	}
	test_dir_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_protected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clone_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records, setup, teardown),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests_name("privacy", tests, NULL, NULL);
}
