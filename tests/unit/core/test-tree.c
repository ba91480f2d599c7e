// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "log-format.h"
#include "tests/unit/stage.h"
#include "tests/unit/support.h"

/* Subscribers of trees come and go while processes do, and what each received is compared with the descent of each process. */

#define MANY 24

static struct stage stage;
static struct subscriber many[MANY];
static bool there[MANY];

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove();
	return 0;
}

static struct {
	unsigned int events, shared, lost, ended;
} seen;

/* A root: a process that lives, or, where the log has everything, one that has ended. */
static struct world_process *pick_root(bool whole)
{
	struct world *world = &stage.world;

	if (whole && random_below(&world->random, 3) == 0)
		return &world->ever[random_below(&world->random, world->n_ever)];
	return world_pick(world);
}

static void arrive(int i, bool whole)
{
	static const char *const types[] = { "", ",\"types\":\"exit\"", ",\"types\":[\"fork\",\"comm\"]",
					     ",\"uids\":1001" };
	struct random *random = &stage.world.random;
	struct world_process *root = pick_root(whole);
	char request[300], since[100] = "", cursor[CURSOR_TEXT_MAX];
	uint64_t next = log_next(hub_log(stage.hub));
	size_t labels = labels_count(hub_labels(stage.hub));

	if (whole && random_below(random, 2))
		snprintf(since, sizeof(since), ",\"since\":\"%s\"",
			 cursor_print(cursor, log_epoch(hub_log(stage.hub)), random_below(random, next)));
	snprintf(request, sizeof(request), "{\"tree\":{\"pid\":%u,\"startUsec\":%llu}%s%s}", root->pid,
		 (unsigned long long)root->start_usec, types[random_below(random, 4)], since);
	assert_int_equal(subscribe(&many[i], &stage, request,
				   random_below(random, 3) ? SEE_ALL : (struct visibility){ .uid = 1001 },
				   NULL),
			 0);
	there[i] = true;
	seen.shared += labels_count(hub_labels(stage.hub)) == labels;
	seen.ended += !root->lives;
}

static void check(int i)
{
	subscriber_read_all(&many[i]);
	subscriber_check(&many[i]);
}

static void leave(int i)
{
	check(i);
	seen.events += many[i].n_events;
	seen.lost += many[i].n_lost;
	unsubscribe(&many[i]);
	there[i] = false;
}

/* @whole: the log holds everything; else it laps the subscribers that are behind */
static void run(uint64_t seed, unsigned int steps, bool whole)
{
	struct random *random = &stage.world.random;

	print_message("# seed %llu\n", (unsigned long long)seed);
	stage_open(&stage, whole ? 400 : LOG_BLOCKS_MIN, whole ? 1 << 20 : 1, seed, 3);
	stage_run(&stage, 100, 100);
	for (unsigned int step = 0; step < steps; step++) {
		int i = (int)random_below(random, MANY);

		stage_run(&stage, (unsigned int)random_below(random, 40), 7);
		if (!there[i])
			arrive(i, whole);
		else if (random_below(random, 8) == 0)
			leave(i);
		else if (random_below(random, 3) == 0)
			check(i);
		else if (random_below(random, 2))
			subscriber_read(&many[i], 1000, 1 + random_below(random, 3000));
	}
	for (int i = 0; i < MANY; i++)
		if (there[i])
			leave(i);
	assert_int_equal(labels_count(hub_labels(stage.hub)), 0);
	stage_close(&stage);
}

static void test_whole_log(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	for (uint64_t seed = 1; seed <= (in_valgrind() ? 1 : 6); seed++)
		run(seed, 500, true);
	print_message("# %u events of %u ended roots and others, %u labels shared\n", seen.events, seen.ended,
		      seen.shared);
	assert_true(seen.events > 1000 && seen.ended > 10 && seen.shared > 0);
	assert_int_equal(seen.lost, 0);
}

/* What a subscriber finds in a log that lapped it again and again is still right. */
static void test_small_log(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	for (uint64_t seed = 101; seed <= (in_valgrind() ? 101 : 106); seed++)
		run(seed, 2000, false);
	print_message("# %u events, %u lost\n", seen.events, seen.lost);
	assert_true(seen.events > 1000 && seen.lost > 10);
}

/* A subscriber that reads nothing, while more of the tree end than there can be pids of 16 bits, gets all of them later. */
static void test_unread(void **state)
{
	const unsigned int ends = in_valgrind() ? 1000 : 70000;
	struct world_process *root, *child;
	struct fb_event event;
	char request[100];

	(void)state;
	stage_open(&stage, 400, 0, 1, 3);
	stage_run(&stage, 20, 20);
	root = stage.world.living[0];
	snprintf(request, sizeof(request), "{\"tree\":%u,\"types\":\"exit\"}", root->pid);
	assert_int_equal(subscribe(&many[0], &stage, request, SEE_ALL, NULL), 0);
	subscriber_read_all(&many[0]);
	for (unsigned int i = 0; i < ends; i++) {
		child = world_fork(&stage.world, &event, root);
		stage_publish(&stage, &event, child);
		world_exit(&stage.world, &event, child);
		stage_publish(&stage, &event, child);
	}
	hub_flush(stage.hub);
	check(0);
	assert_int_equal(many[0].n_events, ends);
	assert_int_equal(many[0].n_lost, 0);
	unsubscribe(&many[0]);
	stage_close(&stage);
}

static size_t labels_awaiting(void)
{
	return table_lineage((struct table *)(uintptr_t)hub_table(stage.hub))->n_awaiting;
}

/* A subscriber can name a process before its fork is published, by its exact start or by that in /proc. */
static void test_unseen(void **state)
{
	struct world_process *root, *child;
	struct fb_event event, later;
	char request[100];

	(void)state;
	stage_open(&stage, 400, 0, 1, 3);
	stage_run(&stage, 20, 20);
	for (int exact = 0; exact <= 1; exact++) {
		root = world_fork(&stage.world, &event, stage.world.living[0]);
		snprintf(request, sizeof(request), "{\"tree\":{\"pid\":%u,\"startUsec\":%" PRIu64 "}}",
			 root->pid,
			 exact ? event.start_usec
			       : event.start_usec - event.start_usec % EVENT_START_SLACK_USEC);
		assert_int_equal(subscribe(&many[exact], &stage, request, SEE_ALL, NULL), 0);
		many[exact].root = root;
		subscriber_read_all(&many[exact]);
		stage_publish(&stage, &event, root);
		child = world_fork(&stage.world, &later, root);
		stage_publish(&stage, &later, child);
		world_exit(&stage.world, &later, root);
		stage_publish(&stage, &later, root);
		world_exit(&stage.world, &later, child);
		stage_publish(&stage, &later, child);
		stage_run(&stage, 100, 20);
		check(exact);
		assert_int_equal(many[exact].n_events, 4);
		unsubscribe(&many[exact]);
	}
	assert_int_equal(labels_awaiting(), 0);
	/* A label that still awaits its root goes with its subscriber. */
	assert_int_equal(
		subscribe(&many[0], &stage, "{\"tree\":{\"pid\":4194000,\"startUsec\":1}}", SEE_ALL, NULL),
		0);
	subscriber_read_all(&many[0]);
	assert_int_equal(labels_awaiting(), 1);
	unsubscribe(&many[0]);
	assert_int_equal(labels_awaiting(), 0);
	stage_close(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unseen, setup, teardown),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
