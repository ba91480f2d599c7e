// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Records of the module become events in the log, and processes in the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "log-format.h"
#include "source/module/module.h"
#include "tests/unit/stage.h"
#include "tests/unit/support.h"

#define SECOND UINT64_C(1000000)

static struct hub *hub;
static struct module *module;
static uint64_t seq;

static const struct resync_ops resync_ops = { .gone = module_publish_gone };

static int setup(void **state)
{
	struct log *log = NULL;

	(void)state;
	assert_int_equal(log_open(&log, test_path("log"), LOG_BLOCKS_MIN * LOG_BLOCK_SIZE, (gid_t)-1), 0);
	assert_int_equal(hub_new(&hub, log, 1 << 20), 0);
	module = calloc(1, sizeof(*module));
	assert_non_null(module);
	module->hub = hub;
	module->stream.instance = 77;
	assert_int_equal(resync_new(&module->resync, hub, &module->clocks, &resync_ops, module), 0);
	module->clocks.real_offset_nsec = 1000 * SECOND * 1000;
	seq = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	module_seam_done(&module->seam);
	cgroups_free(module->cgroups);
	resync_free(module->resync);
	free(module);
	hub_free(hub);
	remove(test_path("log"));
	return 0;
}

/* A record of a process: pid, and its start in seconds; its time is half a second after the record before. */
static struct module_record make(enum event_type type, uint32_t pid, uint64_t start)
{
	struct module_record record = { .seq = ++seq, .has_tty = true };

	record.nsec = (50 + seq) * 500000000;
	fb_event_init(&record.event, type);
	EVENT_SET(&record.event, pid, pid);
	EVENT_SET(&record.event, start_usec, start * SECOND);
	EVENT_SET(&record.event, boot_usec, record.nsec / 1000);
	EVENT_SET(&record.event, kernel_seq, record.seq);
	EVENT_SET(&record.event, uid, 1000);
	EVENT_SET(&record.event, euid, 1000);
	EVENT_SET(&record.event, comm, event_text("sh"));
	EVENT_SET(&record.event, cgroup_id, 5);
	return record;
}

static void set_parent(struct module_record *record, uint32_t pid, uint64_t start)
{
	EVENT_SET(&record->event, ppid, pid);
	EVENT_SET(&record->event, parent_start_usec, start * SECOND);
}

static void publish(struct module_record *record)
{
	assert_int_equal(module_publish(module, record), MODULE_TAKEN);
}

/* The last event of the log. */
static struct fb_event last_event(void)
{
	struct log_place place;
	struct fb_event event;

	assert_int_equal(log_seek(hub_log(hub), log_next(hub_log(hub)) - 1, &place), 0);
	assert_int_equal(log_read(hub_log(hub), &place, &event), 0);
	return event;
}

static uint64_t count(void)
{
	return log_next(hub_log(hub)) - 1;
}

static void assert_text(struct event_text text, const char *expected)
{
	assert_true(event_text_equal(text, event_text(expected)));
}

/* A process as from a scan of /proc: its start is cut to a tick. */
static void scan(uint32_t pid, uint64_t start_usec)
{
	struct fb_event event;

	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, start_usec, start_usec);
	EVENT_SET(&event, ppid, 0);
	EVENT_SET(&event, exe, event_text("/bin/sh"));
	EVENT_SET(&event, cgroup, event_text("/system.slice/x.service"));
	EVENT_SET(&event, unit, event_text("x.service"));
	EVENT_SET(&event, tty, event_text("pts/3"));
	EVENT_SET(&event, login_uid, 1000);
	assert_int_equal(hub_learn(hub, &event), 0);
}

static void test_life(void **state)
{
	struct module_record record = make(EVENT_FORK, 20, 20);
	struct fb_event event;

	(void)state;
	scan(10, 9995000);
	set_parent(&record, 10, 10);
	record.tty = 34816 + 3;
	EVENT_SET(&record.event, login_uid, 1000);
	publish(&record);
	event = last_event();
	assert_int_equal(event.type, EVENT_FORK);
	assert_int_equal(event.instance, 77);
	assert_int_equal(event.kernel_seq, 1);
	assert_int_equal(event.time_usec, event.boot_usec + 1000 * SECOND);
	/* The parent has the name that was reported first. */
	assert_int_equal(event.parent_start_usec, 9995000);
	assert_text(event.cgroup, "/system.slice/x.service");
	assert_text(event.unit, "x.service");
	assert_text(event.tty, "pts/3");
	assert_false(EVENT_HAS(&event, exe));
	assert_text(event_text(table_find(hub_table(hub), 20)->exe), "/bin/sh");

	record = make(EVENT_EXEC, 20, 20);
	set_parent(&record, 10, 10);
	EVENT_SET(&record.event, exe, event_text("/bin/true"));
	publish(&record);
	event = last_event();
	assert_text(event.exe, "/bin/true");
	/* The terminal and the login are removed. */
	assert_false(EVENT_HAS(&event, tty));
	assert_false(EVENT_HAS(&event, login_uid));
	assert_false(table_find(hub_table(hub), 20)->has & (EVENT_BIT(tty) | EVENT_BIT(login_uid)));

	record = make(EVENT_EXIT, 20, 20);
	record.has_tty = false;
	EVENT_SET(&record.event, code, 0);
	publish(&record);
	event = last_event();
	assert_text(event.exe, "/bin/true");
	assert_int_equal(event.ppid, 10);
	assert_null(table_find(hub_table(hub), 20));

	/* An exec without a path removes the old one. */
	record = make(EVENT_EXEC, 10, 10);
	record.has_tty = false;
	publish(&record);
	event = last_event();
	assert_int_equal(event.start_usec, 9995000);
	assert_false(EVENT_HAS(&event, exe));
	assert_text(event.tty, "pts/3");
	assert_false(table_find(hub_table(hub), 10)->has & EVENT_BIT(exe));
}

static void test_wanted(void **state)
{
	struct module_record record = make(EVENT_FORK, 20, 20);
	struct stage stage = { .hub = hub };
	struct subscriber subscriber;

	(void)state;
	EVENT_SET(&record.event, tid, 21);
	publish(&record);
	record = make(EVENT_CHROOT, 20, 20);
	publish(&record);
	assert_int_equal(count(), 0);
	hub_set_supported(hub, UINT32_MAX);
	assert_int_equal(
		subscribe(&subscriber, &stage, "{\"threads\":true,\"types\":[\"chroot\"]}", SEE_ALL, NULL),
		0);
	record = make(EVENT_FORK, 20, 20);
	EVENT_SET(&record.event, tid, 21);
	publish(&record);
	assert_int_equal(last_event().tid, 21);
	assert_null(table_find(hub_table(hub), 20));
	/* The root belongs to the process, even if another thread changes it. */
	record = make(EVENT_CHROOT, 20, 20);
	EVENT_SET(&record.event, tid, 21);
	publish(&record);
	assert_int_equal(count(), 2);
	assert_true(last_event().type == EVENT_CHROOT && !(last_event().has & EVENT_BIT(tid)));
	assert_non_null(table_find(hub_table(hub), 20));
	unsubscribe(&subscriber);
}

/* Its end is reported by a scan, and then by its own record. */
static void test_gone(void **state)
{
	struct module_record record;
	struct fb_event event;

	(void)state;
	scan(10, 9995000);
	module_publish_gone(module, 10, UINT64_C(40000000000));
	event = last_event();
	assert_int_equal(event.type, EVENT_EXIT);
	assert_int_equal(event.start_usec, 9995000);
	assert_int_equal(event.elapsed_usec, 40 * SECOND - 9995000);
	assert_text(event.exe, "/bin/sh");
	assert_false(EVENT_HAS(&event, code) || EVENT_HAS(&event, signal));
	assert_null(table_find(hub_table(hub), 10));
	record = make(EVENT_EXIT, 10, 10);
	publish(&record);
	assert_int_equal(count(), 1);
	/* A later process with the same pid is another process. */
	record = make(EVENT_EXIT, 10, 30);
	publish(&record);
	assert_int_equal(count(), 2);
}

static void test_lost(void **state)
{
	const struct module_gap gap = { .loss = MODULE_LOST_KERNEL,
					.count = 7,
					.since_nsec = UINT64_C(20000000000),
					.until_nsec = UINT64_C(21000000000),
					.seq = 30 };
	struct fb_event event;

	(void)state;
	hub_set_origin(hub, &(struct hub_origin){ .instance = 77 });
	module_publish_lost(module, &gap);
	event = last_event();
	assert_text(event.reason, "kernel");
	assert_int_equal(event.count, 7);
	assert_int_equal(event.since_usec, 1020 * SECOND);
	assert_int_equal(event.until_usec, 1021 * SECOND);
	assert_int_equal(event.instance, 77);
	assert_int_equal(event.kernel_seq, 30);
	assert_true(resync_is_wanted(module->resync));
}

/* A program starts in a cgroup that was just created. Return: whether its event had the path: on a busy machine it may not. */
static bool place_new(const char *unit, struct stat *st)
{
	struct module_record record = make(EVENT_EXEC, 10, 10);
	uint64_t reported = count();
	struct fb_event event;

	assert_int_equal(mkdir(unit, 0755), 0);
	assert_int_equal(stat(unit, st), 0);
	record.event.cgroup_id = st->st_ino;
	for (int i = 0; module_publish(module, &record) == MODULE_HOLD; i++) {
		assert_true(i < 10000);
		assert_int_equal(count(), reported);
		usleep(1000);
		cgroups_collect(module->cgroups);
	}
	assert_int_equal(count(), reported + 1);
	event = last_event();
	if (!EVENT_HAS(&event, cgroup)) {
		assert_int_equal(rmdir(unit), 0);
		return false;
	}
	assert_text(event.cgroup, "/a.service");
	assert_text(event.unit, "a.service");
	return true;
}

static void test_place(void **state)
{
	const char *root = test_path("cgroups"), *unit = test_path("cgroups/a.service");
	struct module_record record;
	struct fb_event event;
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(root, 0755), 0);
	assert_int_equal(cgroups_new(&module->cgroups, root), 0);
	module->patient = true;
	scan(10, 9995000);
	for (int i = 0; !place_new(unit, &st); i++) {
		assert_true(i < 10000);
		usleep(1000);
		cgroups_collect(module->cgroups);
	}
	assert_true(module->stats.held >= 1);
	/* Its child is in the same cgroup, even if that is removed. */
	assert_int_equal(rmdir(unit), 0);
	record = make(EVENT_FORK, 20, 20);
	set_parent(&record, 10, 10);
	record.event.cgroup_id = st.st_ino;
	publish(&record);
	assert_text(last_event().cgroup, "/a.service");
	/* A cgroup that cannot be found: after a while the record is published, without the old path. */
	record = make(EVENT_COMM, 20, 20);
	record.event.cgroup_id = UINT64_MAX;
	for (int i = 0; module_publish(module, &record) == MODULE_HOLD; i++) {
		assert_true(i < 1000);
		usleep(1000);
		cgroups_collect(module->cgroups);
	}
	event = last_event();
	assert_int_equal(event.type, EVENT_COMM);
	assert_false(EVENT_HAS(&event, cgroup) || EVENT_HAS(&event, unit));
	assert_false(table_find(hub_table(hub), 20)->has & EVENT_BIT(cgroup));
	rmdir(root);
}

/* An event of the previous source. */
static void publish_before(enum event_type type, uint64_t boot_usec)
{
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, pid, 30);
	EVENT_SET(&event, start_usec, boot_usec - 1000);
	EVENT_SET(&event, boot_usec, boot_usec);
	EVENT_SET(&event, time_usec, clock_usec(CLOCK_REALTIME));
	hub_publish(hub, &event);
}

/* The same event from the module. */
static struct module_record make_same(enum event_type type, uint64_t boot_usec)
{
	struct module_record record = make(type, 30, 0);

	record.event.start_usec = boot_usec - 1500;
	record.event.boot_usec = boot_usec - 500;
	return record;
}

/* Events that the previous source has published, with its own times. */
static void test_seam(void **state)
{
	const uint64_t boot = clock_usec(CLOCK_BOOTTIME) - 2000;
	const enum event_type types[] = { EVENT_FORK, EVENT_COMM, EVENT_EXIT };
	struct module_record record;

	(void)state;
	for (int i = 0; i < 3; i++)
		publish_before(types[i], boot);
	assert_int_equal(module_seam_begin(&module->seam, hub_log(hub), boot - 100000), 0);
	assert_int_equal(module->seam.n, 3);
	for (unsigned int i = 0; i < 3; i++) {
		record = make_same(types[i], boot);
		publish(&record);
		assert_int_equal(module->stats.published_before, i + 1);
	}
	assert_int_equal(module->seam.n, 0);
	assert_int_equal(count(), 3);

	/* A name that was set long before is another event; all events after the change of sources are new. */
	assert_int_equal(module_seam_begin(&module->seam, hub_log(hub), boot - 100000), 0);
	record = make_same(EVENT_COMM, boot);
	record.event.boot_usec = boot - 60000;
	publish(&record);
	record.event.boot_usec = boot + 10 * SECOND;
	publish(&record);
	assert_int_equal(count(), 5);
	assert_int_equal(module->seam.n, 0);
}

/* Two equal events; one of them was already published. */
static void test_seam_once(void **state)
{
	const uint64_t boot = clock_usec(CLOCK_BOOTTIME) - 2000;
	struct module_record record = make_same(EVENT_COMM, boot);

	(void)state;
	publish_before(EVENT_FORK, boot);
	publish_before(EVENT_COMM, boot);
	assert_int_equal(module_seam_begin(&module->seam, hub_log(hub), boot - 100000), 0);
	publish(&record);
	assert_int_equal(count(), 2);
	publish(&record);
	assert_int_equal(count(), 3);
	assert_int_equal(module->stats.published_before, 1);
}

static int group_setup(void **state)
{
	(void)state;
	test_dir_make();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	test_dir_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seam, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seam_once, setup, teardown),
	};

	return cmocka_run_group_tests_name("module publish", tests, group_setup, group_teardown);
}
