// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "log-format.h"
#include "tests/unit/allocations.h"
#include "tests/unit/stage.h"
#include "tests/unit/support.h"

static struct stage stage;
static unsigned int armings;

static void on_armed(void *userdata)
{
	assert_ptr_equal(userdata, &stage);
	armings++;
}

static const struct hub_ops hub_ops = { .armed = on_armed };

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	stage_open(&stage, 64, 16 << 20, 4, 3);
	hub_set_ops(stage.hub, &hub_ops, &stage);
	armings = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stage_close(&stage);
	test_dir_remove();
	return 0;
}

static void begin(struct subscriber *subscriber, const char *request)
{
	assert_int_equal(subscribe(subscriber, &stage, request, SEE_ALL, NULL), 0);
}

/* The event that was published last, as the log has it */
static void latest(struct fb_event *event)
{
	struct log_place place;

	assert_int_equal(log_seek(hub_log(stage.hub), log_next(hub_log(stage.hub)) - 1, &place), 0);
	assert_int_equal(log_read(hub_log(stage.hub), &place, event), 0);
}

/* Subscribers are woken at the end of a batch, once each. */
static void test_flush(void **state)
{
	struct subscriber one, two, quiet;

	(void)state;
	assert_null(hub_free(NULL));
	begin(&one, "{\"threads\":true}");
	begin(&two, "{\"threads\":true}");
	begin(&quiet, "{\"types\":\"ptrace\"}");
	subscriber_read_all(&one);
	subscriber_read_all(&two);
	subscriber_read_all(&quiet);
	for (int i = 0; i < 30; i++)
		stage_happen(&stage);
	assert_int_equal(one.wakes, 0);
	hub_flush(stage.hub);
	assert_int_equal(one.wakes, 1);
	assert_int_equal(two.wakes, 1);
	hub_flush(stage.hub);
	assert_int_equal(one.wakes, 1);
	assert_int_equal(quiet.wakes, 0);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_events, 30);
	unsubscribe(&one);
	/* A flush does not wake subscribers that have left. */
	stage_happen(&stage);
	unsubscribe(&two);
	hub_flush(stage.hub);
	unsubscribe(&quiet);
}

/* Some leave when they are woken, for example because their socket is closed. */
static unsigned int went;

static void go(struct cursor *cursor)
{
	went++;
	cursor_done(cursor);
	cursor->reader.view = NULL;
}

static void test_gone_at_wake(void **state)
{
	enum { MANY = 6 };
	static struct subscriber many[MANY];

	(void)state;
	for (int mask = 0; mask < 1 << MANY; mask++) {
		unsigned int stay = 0;

		went = 0;
		for (int i = 0; i < MANY; i++) {
			begin(&many[i], i < 4 ? "{\"threads\":true}"
					      : "{\"threads\":true,\"types\":[\"fork\",\"exit\"]}");
			subscriber_read_all(&many[i]);
			if (mask >> i & 1)
				many[i].cursor.wake = go;
		}
		/* Enough events for each of them. */
		for (int i = 0; i < 20; i++)
			stage_happen(&stage);
		hub_flush(stage.hub);
		for (int i = 0; i < MANY; i++) {
			stay += many[i].wakes;
			unsubscribe(&many[i]);
		}
		assert_int_equal(stay + went, MANY);
		assert_int_equal(went, __builtin_popcount((unsigned int)mask));
	}
	assert_int_equal(views_stats(hub_views(stage.hub))->views, 0);
}

static uint64_t rearm_usec; /* the last request to rearm later */

static void on_rearm(void *userdata, uint64_t usec)
{
	assert_ptr_equal(userdata, &stage);
	rearm_usec = usec;
}

/* Filters that come and go, thousands of times in a second: types are armed at once, and disarmed once, late. */
static void test_disarm_late(void **state)
{
	static const struct hub_ops ops = { .armed = on_armed, .rearm = on_rearm };
	struct subscriber subscriber;
	uint64_t before = clock_usec(CLOCK_MONOTONIC), now;

	(void)state;
	hub_set_ops(stage.hub, &ops, &stage);
	hub_set_supported(stage.hub, UINT32_MAX);
	armings = 0;
	rearm_usec = 0;
	for (unsigned int i = 0; i < 2000; i++) {
		begin(&subscriber,
		      i % 2 ? "{\"types\":\"ptrace\"}" : "{\"types\":\"chroot\",\"threads\":true}");
		unsubscribe(&subscriber);
	}
	now = clock_usec(CLOCK_MONOTONIC);
	assert_true(rearm_usec > 0 && rearm_usec <= ARMING_USEC);
	/* Armed twice, and disarmed only as often as that time has passed. */
	assert_true(armings <= 2 + 3 * ((now - before) / ARMING_USEC));
	hub_rearm_at(stage.hub, now + 2 * ARMING_USEC);
	assert_int_equal(hub_armed(stage.hub), HUB_ARMED_ALWAYS);
	armings = 0;
	hub_rearm_at(stage.hub, now + 3 * ARMING_USEC);
	assert_int_equal(armings, 0);
}

/* What is wanted again in time stays armed, without an event. */
static void test_wanted_again(void **state)
{
	static const struct hub_ops ops = { .armed = on_armed, .rearm = on_rearm };
	struct subscriber subscriber;
	uint64_t now;

	(void)state;
	hub_set_ops(stage.hub, &ops, &stage);
	hub_set_supported(stage.hub, UINT32_MAX);
	armings = 0;
	begin(&subscriber, "{\"types\":\"ptrace\"}");
	assert_int_equal(armings, 1);
	unsubscribe(&subscriber);
	now = clock_usec(CLOCK_MONOTONIC);
	begin(&subscriber, "{\"types\":\"ptrace\"}");
	hub_rearm_at(stage.hub, now + 2 * ARMING_USEC);
	assert_int_equal(armings, 1);
	assert_true(hub_armed(stage.hub) & EVENT_TYPE_BIT(EVENT_PTRACE));
	unsubscribe(&subscriber);
	/* The configuration can want it, too. */
	hub_set_wanted(stage.hub, EVENT_TYPE_BIT(EVENT_PTRACE) | EVENT_TYPE_BIT(EVENT_EXIT));
	hub_rearm_at(stage.hub, now + 10 * ARMING_USEC);
	assert_int_equal(hub_armed(stage.hub), HUB_ARMED_ALWAYS | EVENT_TYPE_BIT(EVENT_PTRACE));
	assert_int_equal(armings, 1);
	hub_set_wanted(stage.hub, 0);
}

static void test_armed(void **state)
{
	struct subscriber plain, ptrace, threads, again;
	char text[EVENT_TEXT_MAX];

	(void)state;
	assert_int_equal(hub_armed(stage.hub), HUB_ARMED_ALWAYS);
	assert_string_equal(hub_armed_print(stage.hub, text), "fork exec exit id comm session");
	/* A source is not asked for types that it does not support. */
	begin(&ptrace, "{\"types\":[\"ptrace\",\"exit\"]}");
	assert_int_equal(armings, 0);
	unsubscribe(&ptrace);
	assert_int_equal(armings, 0);
	hub_set_supported(stage.hub, UINT32_MAX);
	begin(&plain, "{\"types\":[\"exit\",\"comm\"]}");
	assert_int_equal(armings, 0);
	begin(&ptrace, "{\"types\":[\"ptrace\",\"exit\"]}");
	assert_int_equal(armings, 1);
	assert_int_equal(hub_armed(stage.hub), HUB_ARMED_ALWAYS | EVENT_TYPE_BIT(EVENT_PTRACE));
	begin(&again, "{\"types\":[\"ptrace\",\"exit\"]}");
	assert_int_equal(armings, 1);
	begin(&threads, "{\"threads\":true,\"types\":[\"coredump\",\"chroot\"]}");
	assert_int_equal(armings, 2);
	assert_int_equal(hub_armed(stage.hub), HUB_ARMED_ALWAYS | EVENT_TYPE_BIT(EVENT_PTRACE) |
						       EVENT_TYPE_BIT(EVENT_COREDUMP) |
						       EVENT_TYPE_BIT(EVENT_CHROOT) | HUB_ARMED_THREADS);
	assert_string_equal(hub_armed_print(stage.hub, text),
			    "fork exec exit id comm session chroot coredump ptrace threads");
	unsubscribe(&ptrace);
	assert_int_equal(armings, 2);
	unsubscribe(&again);
	assert_int_equal(armings, 3);
	unsubscribe(&plain);
	assert_int_equal(armings, 3);
	unsubscribe(&threads);
	assert_int_equal(armings, 4);
	assert_int_equal(hub_armed(stage.hub), HUB_ARMED_ALWAYS);
	/* A hub without subscribers */
	hub_set_ops(stage.hub, NULL, NULL);
	begin(&ptrace, "{\"types\":\"ptrace\"}");
	unsubscribe(&ptrace);
}

static void test_lost(void **state)
{
	const struct hub_stats *stats = hub_stats(stage.hub);
	struct fb_event event;

	(void)state;
	hub_lost(stage.hub, "netlink", 7, 1000, 2000, "a buffer was full");
	latest(&event);
	assert_int_equal(event.type, EVENT_LOST);
	assert_true(event_text_equal(event.reason, event_text("netlink")));
	assert_true(event_text_equal(event.detail, event_text("a buffer was full")));
	assert_int_equal(event.count, 7);
	assert_int_equal(event.since_usec, 1000);
	assert_int_equal(event.until_usec, 2000);
	assert_true(EVENT_HAS(&event, time_usec) && EVENT_HAS(&event, boot_usec));
	hub_lost(stage.hub, "netlink", HUB_COUNT_UNKNOWN, 0, 0, NULL);
	latest(&event);
	assert_false(EVENT_HAS(&event, count) || EVENT_HAS(&event, since_usec) ||
		     EVENT_HAS(&event, until_usec) || EVENT_HAS(&event, detail));
	hub_lost(stage.hub, "kernel", 2, 0, 0, NULL);
	hub_lost(stage.hub, "unarmed", 3, 0, 0, NULL);
	hub_lost(stage.hub, "source", 4, 0, 0, NULL);
	assert_int_equal(stats->netlink.times, 2);
	assert_int_equal(stats->netlink.count, 7);
	assert_int_equal(stats->kernel.times, 1);
	assert_int_equal(stats->kernel.count, 2);
	assert_int_equal(stats->unarmed.count, 3);
	assert_int_equal(stats->source.count, 4);
	assert_int_equal(stats->slow.times, 0);
	hub_note_slow(stage.hub, 8);
	hub_note_slow(stage.hub, HUB_COUNT_UNKNOWN);
	assert_int_equal(stats->slow.times, 2);
	assert_int_equal(stats->slow.count, 8);
	assert_int_equal(stats->events[EVENT_LOST], 5);
}

static void test_source(void **state)
{
	struct subscriber one, two;
	struct fb_event event;

	(void)state;
	hub_set_supported(stage.hub, UINT32_MAX);
	begin(&one, "{\"types\":\"exit\"}");
	begin(&two, "{\"types\":\"ptrace\"}");
	subscriber_read_all(&one);
	hub_source_changed(stage.hub, "connector", "started", NULL);
	latest(&event);
	assert_int_equal(event.type, EVENT_SOURCE);
	assert_true(event_text_equal(event.source, event_text("connector")));
	assert_true(event_text_equal(event.reason, event_text("started")));
	assert_true(event_text_equal(event.armed, event_text("fork exec exit id comm session ptrace")));
	assert_false(EVENT_HAS(&event, detail));
	assert_string_equal(hub_source(stage.hub), "connector");
	assert_string_equal(hub_source_detail(stage.hub), "");
	assert_int_equal(hub_source_since(stage.hub), event.time_usec);
	hub_source_changed(stage.hub, hub_source(stage.hub), "armed", hub_source_detail(stage.hub));
	latest(&event);
	assert_false(EVENT_HAS(&event, detail));
	hub_source_changed(stage.hub, "replay", "armed", "from a file");
	assert_string_equal(hub_source(stage.hub), "replay");
	assert_string_equal(hub_source_detail(stage.hub), "from a file");
	/* The hub can publish the same source again. */
	hub_source_changed(stage.hub, hub_source(stage.hub), "armed", hub_source_detail(stage.hub));
	assert_string_equal(hub_source_detail(stage.hub), "from a file");
	hub_flush(stage.hub);
	subscriber_read_all(&one);
	one.got = realloc(one.got, one.size + 1);
	one.got[one.size] = '\0';
	assert_non_null(strstr(one.got, "\"source\":\"replay\""));
	unsubscribe(&one);
	unsubscribe(&two);
}

/* Before the first source there was none: that is reported with it, once. */
static void test_outage(void **state)
{
	struct fb_event event;
	struct log_place place;

	(void)state;
	hub_begin_outage(stage.hub, NULL, NULL, 77);
	hub_source_changed(stage.hub, "connector", "started", NULL);
	hub_source_changed(stage.hub, "connector", "armed", NULL);
	assert_int_equal(log_next(hub_log(stage.hub)), 4);
	assert_int_equal(log_seek(hub_log(stage.hub), 1, &place), 0);
	assert_int_equal(log_read(hub_log(stage.hub), &place, &event), 0);
	assert_int_equal(event.type, EVENT_LOST);
	assert_int_equal(event.since_usec, 77);
	assert_true(event.until_usec > 77);
	assert_int_equal(hub_stats(stage.hub)->unarmed.times, 1);
}

/* A source that is gone is an outage too, until something is armed again. */
static void test_without_source(void **state)
{
	struct fb_event event;
	struct log_place place;

	(void)state;
	hub_begin_outage(stage.hub, "source", "it went", 0);
	hub_set_supported(stage.hub, 0);
	assert_int_equal(hub_armed(stage.hub), 0);
	hub_source_changed(stage.hub, "none", "gone", NULL);
	latest(&event);
	assert_int_equal(event.type, EVENT_SOURCE);
	assert_int_equal(event.armed.len, 0);
	assert_true(hub_has_outage(stage.hub));
	hub_set_supported(stage.hub, HUB_ARMED_ALWAYS);
	hub_source_changed(stage.hub, "connector", "started", NULL);
	assert_false(hub_has_outage(stage.hub));
	assert_int_equal(log_seek(hub_log(stage.hub), log_next(hub_log(stage.hub)) - 2, &place), 0);
	assert_int_equal(log_read(hub_log(stage.hub), &place, &event), 0);
	assert_int_equal(event.type, EVENT_LOST);
	assert_true(event_text_equal(event.reason, event_text("source")));
	assert_true(event_text_equal(event.detail, event_text("it went")));
	assert_int_equal(hub_stats(stage.hub)->source.times, 1);
}

/* A replay has filled the outage: nothing was lost. */
static void test_outage_cancelled(void **state)
{
	struct fb_event event;

	(void)state;
	hub_begin_outage(stage.hub, NULL, NULL, 77);
	hub_cancel_outage(stage.hub);
	hub_source_changed(stage.hub, "module", "started", NULL);
	assert_int_equal(log_next(hub_log(stage.hub)), 2);
	latest(&event);
	assert_int_equal(event.type, EVENT_SOURCE);
}

/* The data of a process from /proc go only into the table. */
static void test_learn(void **state)
{
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, pid, 50);
	EVENT_SET(&event, uid, 1000);
	assert_int_equal(hub_learn(stage.hub, &event), 0);
	assert_int_equal(table_find(hub_table(stage.hub), 50)->uid, 1000);
	assert_int_equal(log_next(hub_log(stage.hub)), 1);
	assert_int_equal(hub_stats(stage.hub)->events[EVENT_PROCESS], 0);
}

/* The position at which a source with numbers can continue, unless another one has published since. */
static void test_origin(void **state)
{
	struct hub_origin resume;
	struct fb_event event;

	(void)state;
	assert_int_equal(hub_restore(stage.hub), 0);
	assert_int_equal(hub_take_resume(stage.hub).instance, 0);
	hub_set_origin(stage.hub, &(struct hub_origin){ .instance = 77, .kernel_seq = 5 });
	hub_source_changed(stage.hub, "module", "started", NULL);
	latest(&event);
	assert_true(EVENT_HAS(&event, instance) && event.kernel_seq == 5);
	assert_int_equal(hub_restore(stage.hub), 0);
	resume = hub_take_resume(stage.hub);
	assert_int_equal(resume.instance, 77);
	assert_int_equal(resume.kernel_seq, 5);
	assert_true(resume.boot_usec == event.boot_usec);
	assert_int_equal(hub_take_resume(stage.hub).instance, 0);
	hub_set_origin(stage.hub, &(struct hub_origin){ .instance = 77, .kernel_seq = 9 });
	hub_lost(stage.hub, "kernel", 3, 0, 0, NULL);
	hub_set_origin(stage.hub, &(struct hub_origin){});
	hub_lost(stage.hub, "slow", 3, 0, 0, NULL);
	assert_int_equal(hub_restore(stage.hub), 0);
	assert_int_equal(hub_take_resume(stage.hub).kernel_seq, 9);
	hub_source_changed(stage.hub, "connector", "started", NULL);
	assert_int_equal(hub_restore(stage.hub), 0);
	assert_int_equal(hub_take_resume(stage.hub).instance, 0);
}

/* After a crash: the processes that lived when the log ends, under the start times that it has */
static void test_restore(void **state)
{
	struct log *log = NULL;
	uint64_t next;
	size_t living, reported = 0;

	(void)state;
	stage_run(&stage, 3000, 100);
	next = log_next(hub_log(stage.hub));
	living = stage.world.n_living;
	assert_int_equal(log_first(hub_log(stage.hub)), 1);
	hub_free(stage.hub);
	assert_int_equal(log_open(&log, test_path("log"), 64 * LOG_BLOCK_SIZE, (gid_t)-1), 0);
	assert_int_equal(log_origin(log), LOG_REOPENED);
	assert_int_equal(log_next(log), next);
	assert_int_equal(hub_new(&stage.hub, log, 0), 0);
	assert_int_equal(table_count(hub_table(stage.hub)), 0);
	assert_int_equal(hub_restore(stage.hub), 0);
	assert_int_equal(table_count(hub_table(stage.hub)), living);
	for (size_t i = 0; i < living; i++) {
		const struct world_process *process = stage.world.living[i];
		const struct process *known = table_find(hub_table(stage.hub), process->pid);

		assert_non_null(known);
		assert_int_equal(known->id.start_usec, process->start_usec);
		assert_int_equal(known->uid, process->uid);
		reported += known->parent != NULL;
	}
	assert_true(reported > living / 2);
}

static void test_restore_empty(void **state)
{
	(void)state;
	assert_int_equal(hub_restore(stage.hub), 0);
	assert_int_equal(table_count(hub_table(stage.hub)), 0);
}

static void publish(enum event_type type, uint32_t pid)
{
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, time_usec, 1700000000000000 + pid);
	EVENT_SET(&event, boot_usec, 1000000 + pid);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, start_usec, 1000000 + pid);
	EVENT_SET(&event, ppid, 1);
	EVENT_SET(&event, uid, 1000);
	EVENT_SET(&event, comm, event_text("worker"));
	EVENT_SET(&event, exe, event_text("/usr/bin/worker"));
	EVENT_SET(&event, cgroup, event_text("/system.slice/worker.service"));
	if (type == EVENT_EXIT) {
		EVENT_SET(&event, code, 0);
		EVENT_SET(&event, user_usec, 4000);
	}
	hub_publish(stage.hub, &event);
}

/* On the way of an event to its subscribers there are no allocations: in the log, the table, the views, the cursors. */
static void test_no_allocation(void **state)
{
	enum { EVENTS = 10000, MANY = 6 };
	static const char *const requests[MANY] = { "",
						    "",
						    "{\"types\":\"exit\"}",
						    "{\"types\":\"exit\"}",
						    "{\"uids\":[1000],\"comm\":\"w*r\"}",
						    "{\"uids\":[7]}" };
	unsigned long before;
	uint64_t bytes = 0;
	struct subscriber one[MANY];

	(void)state;
	for (uint32_t pid = 2; pid < 2 + EVENTS; pid++)
		publish(EVENT_FORK, pid);
	for (int i = 0; i < MANY; i++) {
		begin(&one[i], requests[i]);
		subscriber_read_all(&one[i]);
	}
	assert_int_equal(views_stats(hub_views(stage.hub))->views, 4);
	before = allocations;
	for (uint32_t pid = 2; pid < 2 + EVENTS; pid++) {
		publish(EVENT_EXIT, pid);
		if (pid % 100 != 0)
			continue;
		hub_flush(stage.hub);
		for (int i = 0; i < MANY; i++) {
			const char *data;
			ssize_t n;

			while ((n = cursor_peek(&one[i].cursor, &data)) > 0) {
				assert_int_equal(cursor_sent(&one[i].cursor, (size_t)n), 0);
				bytes += (uint64_t)n;
			}
			assert_int_equal(n, 0);
		}
	}
	assert_int_equal(allocations, before);
	assert_true(bytes > 5 * (uint64_t)EVENTS * 200);
	assert_int_equal(table_count(hub_table(stage.hub)), 0);
	for (int i = 0; i < MANY; i++)
		unsubscribe(&one[i]);
	/* It would have been noticed. */
	assert_true(allocations_are_counted() || in_valgrind());
}

/* When memory runs out, a subscription fails, or loses events; the broker keeps running, and nothing leaks. */
static void test_no_memory(void **state)
{
	static const char *const requests[] = { "", "{\"uids\":[1,2,3],\"comm\":\"a*\"}", "{\"tree\":1}",
						"{\"tree\":1,\"uids\":[1],\"since\":\"-500000h\"}" };
	unsigned int failures = 0;

	(void)state;
	stage_run(&stage, 500, 100);
	assert_non_null(table_find(hub_table(stage.hub), 1));
	for (unsigned int i = 0; i < 8 && allocations_can_fail(); i++) {
		struct visibility visibility = { .all = i % 2, .uid = 1001 };
		bool failed = true;

		for (unsigned long nth = 1; failed; nth++) {
			long held = allocations_held;
			struct filter_error error;
			struct request request;
			struct cursor cursor;
			const char *data;
			ssize_t n;
			int r;

			assert_int_equal(
				request_parse(&request, requests[i / 2], strlen(requests[i / 2]), &error), 0);
			allocations_until_failure = nth;
			r = cursor_init(&cursor, stage.hub, &request, visibility, NULL, &encoding_lines, go,
					&error);
			for (n = -EAGAIN; r == 0 && n == -EAGAIN;)
				n = cursor_peek(&cursor, &data);
			failed = allocations_until_failure == 0;
			allocations_until_failure = 0;
			/* Only a branch of a tree may be missing without a lost event. */
			assert_true(r == 0 || (r == -ENOMEM && failed));
			assert_true(n > 0 || n == -ENOMEM || r != 0);
			failures += r == -ENOMEM || n == -ENOMEM;
			if (r == 0)
				cursor_done(&cursor);
			request_done(&request);
			assert_int_equal(allocations_held, held);
		}
	}
	assert_true(failures > 30 || !allocations_can_fail());
	assert_int_equal(views_stats(hub_views(stage.hub))->views, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_at_wake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_armed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disarm_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wanted_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_source, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outage_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_learn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_origin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restore, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restore_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_allocation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
