// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Events that are cheap to make: alone, and in a hub, where the log must have the truth in the right order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "core/fold.h"
#include "core/hub.h"
#include "tests/unit/support.h"

#define OWNER 1000
#define START (1000 * USEC_PER_SEC)

static struct fold *fold;
static char name[16];

static int setup(void **state)
{
	(void)state;
	return fold_new(&fold);
}

static int teardown(void **state)
{
	(void)state;
	assert_null(fold_free(fold));
	return 0;
}

static void make(struct fb_event *event, enum event_type type, uint32_t pid, uint64_t usec)
{
	fb_event_init(event, type);
	EVENT_SET(event, pid, pid);
	EVENT_SET(event, start_usec, 5);
	EVENT_SET(event, uid, OWNER);
	EVENT_SET(event, boot_usec, usec);
}

static void make_comm(struct fb_event *event, uint32_t pid, uint64_t usec, unsigned int number)
{
	make(event, EVENT_COMM, pid, usec);
	snprintf(name, sizeof(name), "n%u", number);
	EVENT_SET(event, comm, event_text(name));
}

/* Use up what an owner may make at once. Return: the process to be popped. */
static void use_up(uint32_t owner, uint64_t usec)
{
	struct fb_event event;
	uint32_t pid;

	for (unsigned int i = 0; i < FOLD_BURST; i++) {
		make_comm(&event, 50000 + owner, usec, i);
		assert_false(fold_take(fold, owner, &event, &pid));
		assert_int_equal(pid, 0);
	}
}

static bool is_comm(const struct fb_event *event, const char *comm)
{
	return event->comm.len == strlen(comm) && memcmp(event->comm.data, comm, event->comm.len) == 0;
}

static void the_newest_of_too_many_is_kept(void **state)
{
	struct fb_event event;
	uint32_t pid;

	(void)state;
	use_up(OWNER, START);
	for (unsigned int i = 0; i < 5; i++) {
		make_comm(&event, 7, START + i, 100 + i);
		assert_true(fold_take(fold, OWNER, &event, &pid));
		assert_int_equal(pid, 0);
	}
	assert_true(fold_waits(fold));
	assert_int_equal(fold_due(fold, START + FOLD_USEC - 1), 0);
	assert_int_equal(fold_due(fold, START + FOLD_USEC), 7);
	assert_true(fold_pop(fold, 7, &event));
	assert_true(is_comm(&event, "n104"));
	assert_int_equal(event.boot_usec, START + 4);
	assert_true(EVENT_HAS(&event, folded));
	assert_int_equal(event.folded, 4);
	assert_false(fold_pop(fold, 7, &event));
	assert_false(fold_waits(fold));
}

static void one_that_stands_for_itself_is_not_marked(void **state)
{
	struct fb_event event;
	uint32_t pid;

	(void)state;
	use_up(OWNER, START);
	make_comm(&event, 8, START, 1);
	assert_true(fold_take(fold, OWNER, &event, &pid));
	assert_true(fold_pop(fold, 8, &event));
	assert_false(EVENT_HAS(&event, folded));
}

static void other_owners_are_not_affected(void **state)
{
	struct fb_event event;
	uint32_t pid;

	(void)state;
	use_up(OWNER, START);
	make_comm(&event, 7, START, 1);
	assert_true(fold_take(fold, OWNER, &event, &pid));
	use_up(OWNER + 1, START);
	/* After some time an owner is as a new one, also if many others have come since. */
	for (uint32_t i = 0; i < 2000; i++) {
		make_comm(&event, 10000 + i, START + 2 * FOLD_BURST * FOLD_USEC, i);
		assert_false(fold_take(fold, 5000 + i, &event, &pid));
	}
	use_up(OWNER + 1, START + 2 * FOLD_BURST * FOLD_USEC);
	assert_int_equal(fold_any(fold), 7);
}

/* All events of a process, in the order of their times, whatever their types are. */
static void events_of_a_process_keep_their_order(void **state)
{
	static const enum event_type types[] = { EVENT_COMM, EVENT_ID, EVENT_CHROOT, EVENT_COMM,
						 EVENT_PTRACE };
	static const enum event_type expected[] = { EVENT_ID, EVENT_CHROOT, EVENT_COMM, EVENT_PTRACE };
	struct fb_event event;
	uint32_t pid;

	(void)state;
	use_up(OWNER, START);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		make(&event, types[i], 7, START + i);
		assert_true(fold_take(fold, OWNER, &event, &pid));
	}
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_true(fold_pop(fold, 7, &event));
		assert_int_equal(event.type, expected[i]);
		assert_int_equal(EVENT_HAS(&event, folded), event.type == EVENT_COMM);
	}
	assert_false(fold_pop(fold, 7, &event));
}

/* A process may have thousands of threads: each of their names counts, as that of a process does. */
static void threads_wait_by_themselves(void **state)
{
	struct fb_event event;
	uint32_t task;

	(void)state;
	use_up(OWNER, START);
	for (uint32_t i = 0; i < 100; i++) {
		make_comm(&event, 7, START, i);
		EVENT_SET(&event, tid, 7 + i % 50);
		assert_true(fold_take(fold, OWNER, &event, &task));
	}
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(fold_due(fold, START + (i + 1) * FOLD_USEC - 1), 0);
		assert_int_equal(fold_due(fold, START + (i + 1) * FOLD_USEC), 7 + i);
		assert_true(fold_pop(fold, 7 + i, &event));
		assert_int_equal(event.tid, 7 + i);
		assert_int_equal(event.folded, 1);
		assert_false(fold_pop(fold, 7 + i, &event));
	}
	assert_false(fold_waits(fold));
}

/* What waits must not be overtaken, even if its owner may make an event again. */
static void the_one_that_waits_longest_is_next(void **state)
{
	struct fb_event event;
	uint32_t pid;

	(void)state;
	use_up(OWNER, START);
	for (unsigned int i = 0; i < 3; i++) {
		make_comm(&event, 20 + i, START, i);
		assert_true(fold_take(fold, OWNER, &event, &pid));
		assert_int_equal(pid, 0);
	}
	make_comm(&event, 22, START + FOLD_USEC, 9);
	assert_true(fold_take(fold, OWNER, &event, &pid));
	assert_int_equal(pid, 20);
	assert_true(fold_pop(fold, 20, &event));
	make_comm(&event, 22, START + FOLD_USEC, 10);
	assert_true(fold_take(fold, OWNER, &event, &pid));
	assert_int_equal(pid, 0);
}

/* The old ids are those that the log knows: of the first that was kept. */
static void ids_are_those_before_all_that_are_kept(void **state)
{
	struct fb_event event;
	uint32_t pid;

	(void)state;
	use_up(OWNER, START);
	for (uint32_t i = 0; i < 4; i++) {
		make(&event, EVENT_ID, 7, START + i);
		EVENT_SET(&event, uid, 101 + i);
		EVENT_SET(&event, old_uid, 100 + i);
		if (i > 0)
			EVENT_SET(&event, old_gid, 200 + i);
		assert_true(fold_take(fold, OWNER, &event, &pid));
	}
	assert_true(fold_pop(fold, 7, &event));
	assert_int_equal(event.uid, 104);
	assert_int_equal(event.old_uid, 100);
	assert_false(EVENT_HAS(&event, old_gid));
	assert_int_equal(event.folded, 3);
}

static void what_has_no_time_is_not_kept(void **state)
{
	struct fb_event event;
	uint32_t pid;

	(void)state;
	use_up(OWNER, START);
	make_comm(&event, 7, START, 1);
	EVENT_CLEAR(&event, boot_usec);
	assert_false(fold_take(fold, OWNER, &event, &pid));
	make_comm(&event, 7, START, 1);
	EVENT_CLEAR(&event, pid);
	assert_false(fold_take(fold, OWNER, &event, &pid));
}

/* In a hub. A model knows the newest name of each process, and how many events there were. */

enum { PROCESSES = 12, STEPS = 60000 };

struct model {
	unsigned int newest[PROCESSES], made[PROCESSES];  /* names */
	unsigned int seen[PROCESSES], counted[PROCESSES]; /* in the log */
	bool living[PROCESSES];
};

/* Read what is new in the log, and compare it with the model. */
static void check(struct hub *hub, struct model *model, uint64_t *next)
{
	struct log_place place;
	struct fb_event event;
	char text[16];

	/* Nothing new. */
	if (log_seek(hub_log(hub), *next, &place) != 0)
		return;
	while (log_read(hub_log(hub), &place, &event) == 0) {
		unsigned int i = event.pid - 100, number;

		if (event.type == EVENT_COMM) {
			snprintf(text, sizeof(text), "%.*s", (int)event.comm.len, event.comm.data);
			assert_int_equal(sscanf(text, "n%u", &number), 1);
			assert_true(number > model->seen[i]);
			model->seen[i] = number;
			model->counted[i] += 1 + (EVENT_HAS(&event, folded) ? (unsigned int)event.folded : 0);
		} else if (event.type == EVENT_EXIT) {
			/* The last name is there, and each is counted. */
			assert_int_equal(model->seen[i], model->newest[i]);
			assert_int_equal(model->counted[i], model->made[i]);
		}
		*next = event.seq + 1;
	}
}

static void the_log_has_the_truth(void **state)
{
	struct model model = {};
	struct log *log = NULL;
	struct hub *hub;
	struct fb_event event;
	uint64_t now = START, next = 1;
	unsigned int number = 0, comms = 0;

	(void)state;
	test_dir_make();
	assert_int_equal(log_open(&log, test_path("log"), 64 << 20, (gid_t)-1), 0);
	assert_int_equal(hub_new(&hub, log, 0), 0);
	assert_int_equal(hub_begin_fold(hub, NULL), 0);
	srand((unsigned int)getpid());
	printf("seed %u\n", (unsigned int)getpid());
	for (unsigned int step = 0; step < STEPS; step++) {
		unsigned int i = (unsigned int)rand() % PROCESSES;

		now += (uint64_t)rand() % 200;
		if (!model.living[i]) {
			make(&event, EVENT_FORK, 100 + i, now);
			model.living[i] = true;
		} else if (rand() % 500 == 0) {
			make(&event, EVENT_EXIT, 100 + i, now);
			model.living[i] = false;
		} else {
			make_comm(&event, 100 + i, now, ++number);
			model.newest[i] = number;
			model.made[i]++;
			comms++;
		}
		hub_publish(hub, &event);
		/* The table has the newest name, whatever the log has. */
		if (event.type == EVENT_COMM) {
			const struct process *process = table_find(hub_table(hub), 100 + i);

			fb_event_init(&event, EVENT_PROCESS);
			process_describe(process, &event, FIELDS_ALL);
			assert_true(is_comm(&event, name));
		}
		if (rand() % 50 == 0)
			hub_unfold_at(hub, now);
		check(hub, &model, &next);
	}
	/* So many were written, and no more. */
	assert_true(hub_stats(hub)->events[EVENT_COMM] <=
		    FOLD_BURST + (now - START) / FOLD_USEC + hub_stats(hub)->events[EVENT_EXIT] + PROCESSES);
	hub_unfold_at(hub, now + PROCESSES * FOLD_USEC);
	check(hub, &model, &next);
	for (unsigned int i = 0; i < PROCESSES; i++) {
		assert_int_equal(model.seen[i], model.newest[i]);
		assert_int_equal(model.counted[i], model.made[i]);
	}
	assert_int_equal(hub_stats(hub)->events[EVENT_COMM] + hub_stats(hub)->folded, comms);
	hub_free(hub);
	(void)remove(test_path("log"));
	test_dir_remove();
}

/* The processes of root are never held back; and the log gets what was kept before the hub ends. */
static void root_is_not_limited(void **state)
{
	struct log *log = NULL;
	struct hub *hub;
	struct fb_event event;
	uint64_t end;

	(void)state;
	test_dir_make();
	assert_int_equal(log_open(&log, test_path("log"), 4 << 20, (gid_t)-1), 0);
	assert_int_equal(hub_new(&hub, log, 0), 0);
	assert_int_equal(hub_begin_fold(hub, NULL), 0);
	for (unsigned int i = 0; i < 2 * FOLD_BURST; i++) {
		make_comm(&event, 7, START, i);
		EVENT_SET(&event, uid, 0);
		hub_publish(hub, &event);
		assert_int_equal(event.seq, i + 1);
	}
	/* An id event counts for who made it. */
	for (unsigned int i = 0; i < 2 * FOLD_BURST; i++) {
		make(&event, EVENT_ID, 7, START);
		EVENT_SET(&event, old_uid, 0);
		hub_publish(hub, &event);
	}
	assert_int_equal(hub_stats(hub)->folded, 0);
	for (unsigned int i = 0; i < 2 * FOLD_BURST; i++) {
		make_comm(&event, 9, START, i);
		hub_publish(hub, &event);
	}
	end = log_next(log);
	assert_int_equal(end, 5 * FOLD_BURST + 1);
	hub_free(hub);
	assert_int_equal(log_open(&log, test_path("log"), 4 << 20, (gid_t)-1), 0);
	assert_int_equal(log_next(log), end + 1);
	log_free(log);
	(void)remove(test_path("log"));
	test_dir_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_newest_of_too_many_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_stands_for_itself_is_not_marked, setup, teardown),
		cmocka_unit_test_setup_teardown(other_owners_are_not_affected, setup, teardown),
		cmocka_unit_test_setup_teardown(events_of_a_process_keep_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_wait_by_themselves, setup, teardown),
		cmocka_unit_test_setup_teardown(the_one_that_waits_longest_is_next, setup, teardown),
		cmocka_unit_test_setup_teardown(ids_are_those_before_all_that_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_no_time_is_not_kept, setup, teardown),
		cmocka_unit_test(the_log_has_the_truth),
		cmocka_unit_test(root_is_not_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
