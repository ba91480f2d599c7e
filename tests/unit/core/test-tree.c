// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/tree.h"
#include "tests/unit/world.h"

static struct world world;
static struct table *table;
static struct tree *tree;
static uint64_t seq;

static int setup(void **state)
{
	(void)state;
	world_init(&world, 1, 3);
	tree = NULL;
	seq = 0;
	return table_new(&table);
}

static int teardown(void **state)
{
	(void)state;
	assert_null(tree_free(tree));
	table_free(table);
	world_done(&world);
	return 0;
}

/* An event, which is applied to the table. */
static struct world_process *happen(struct fb_event *event)
{
	struct world_process *process = world_next(&world, event);

	EVENT_SET(event, seq, ++seq);
	assert_int_equal(table_apply(table, event), 0);
	return process;
}

static bool take(enum event_type type, uint32_t pid, uint64_t start, uint32_t ppid, uint64_t parent_start)
{
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, seq, ++seq);
	EVENT_SET(&event, pid, pid);
	if (start)
		EVENT_SET(&event, start_usec, start);
	if (ppid)
		EVENT_SET(&event, ppid, ppid);
	if (parent_start)
		EVENT_SET(&event, parent_start_usec, parent_start);
	return tree_take(tree, &event);
}

/* From the start of the root on, all members are known, even if parents end and pids are reused. */
static void test_descendants(void **state)
{
	unsigned int members = 0, orphans = 0;
	struct world_process *root, *process;
	struct fb_event event;

	(void)state;
	assert_null(tree_free(NULL));
	for (int run = 0; run < 20; run++) {
		for (int i = 0; i < 500; i++)
			happen(&event);
		root = world_fork(&world, &event, world_pick(&world));
		EVENT_SET(&event, seq, ++seq);
		assert_int_equal(table_apply(table, &event), 0);
		assert_int_equal(tree_new(&tree, (struct process_id){ root->pid, root->start_usec }, table),
				 0);
		for (int i = 0; i < 5000; i++) {
			process = happen(&event);
			if (!process) {
				assert_false(tree_take(tree, &event));
				continue;
			}
			assert_int_equal(tree_take(tree, &event), world_descends(process, root));
			members += world_descends(process, root);
			orphans += world_descends(process, root) && process->father &&
				   process->ppid != process->father->pid;
			if (i % 100 == 0)
				tree_forget(tree, seq);
		}
		tree = tree_free(tree);
	}
	print_message("# %u events of members, %u of orphans\n", members, orphans);
	assert_true(members > 1000);
	assert_true(orphans > 100);
}

/* Some members live when it is made: those that can be found by their living parents */
static void test_living(void **state)
{
	struct fb_event event;
	unsigned int found = 0;

	(void)state;
	for (int i = 0; i < 3000; i++)
		happen(&event);
	for (int run = 0; run < 50; run++) {
		struct world_process *root = world_pick(&world);

		/* The start may differ by a tick from the requested one. */
		assert_int_equal(
			tree_new(&tree,
				 (struct process_id){ root->pid, root->start_usec + (uint64_t)run * 200 },
				 table),
			0);
		for (size_t i = 0; i < world.n_living; i++) {
			const struct process *up = table_find(table, world.living[i]->pid);

			while (up && up->id.pid != root->pid)
				up = up->parent;
			world_event(&world, &event, EVENT_COMM, world.living[i]);
			assert_int_equal(tree_take(tree, &event), up != NULL);
			found += up && up->parent;
		}
		tree = tree_free(tree);
		happen(&event);
	}
	assert_true(found > 50);
}

/* Dead members are kept until their events will not be checked any more */
static void test_dead(void **state)
{
	(void)state;
	assert_int_equal(tree_new(&tree, (struct process_id){ 10, 1000000 }, table), 0);
	assert_true(take(EVENT_FORK, 11, 2000000, 10, 1000000));
	assert_true(take(EVENT_FORK, 12, 3000000, 11, 2000000));
	assert_true(take(EVENT_EXIT, 11, 2000000, 0, 0));
	assert_true(take(EVENT_EXIT, 11, 2000000, 0, 0));
	/* Its child has another parent now, and is still a member. */
	assert_true(take(EVENT_COMM, 12, 3000000, 1, 0));
	assert_true(take(EVENT_FORK, 13, 4000000, 12, 3000000));
	/* The same pid, another process: of another parent, then of a member. */
	assert_false(take(EVENT_FORK, 11, 5000000, 99, 5000));
	assert_true(take(EVENT_FORK, 11, 6000000, 13, 4000000));
	assert_true(take(EVENT_COMM, 11, 2000000, 0, 0));
	assert_false(take(EVENT_COMM, 11, 5000000, 0, 0));
	assert_true(take(EVENT_COMM, 11, 6000000, 0, 0));
	tree_forget(tree, 3);
	assert_true(take(EVENT_COMM, 11, 2000000, 0, 0));
	tree_forget(tree, 4);
	assert_false(take(EVENT_COMM, 11, 2000000, 0, 0));
	assert_true(take(EVENT_COMM, 11, 6000000, 0, 0));
	assert_true(take(EVENT_COMM, 12, 3000000, 0, 0));
	assert_true(take(EVENT_EXIT, 10, 1000000, 0, 0));
	tree_forget(tree, UINT64_MAX);
	assert_false(take(EVENT_COMM, 10, 1000000, 0, 0));
	assert_true(take(EVENT_COMM, 12, 3000000, 0, 0));
	/* A child of a dropped member is not found. */
	assert_false(take(EVENT_FORK, 14, 7000000, 10, 1000000));
}

/* Starts may differ by a tick, or be unknown; threads are not children. */
static void test_identity(void **state)
{
	struct fb_event event;

	(void)state;
	assert_int_equal(tree_new(&tree, (struct process_id){ 10, 1000000 }, table), 0);
	assert_true(take(EVENT_COMM, 10, 1010000, 0, 0));
	assert_true(take(EVENT_COMM, 10, 990000, 0, 0));
	assert_false(take(EVENT_COMM, 10, 1010001, 0, 0));
	assert_true(take(EVENT_COMM, 10, 0, 0, 0));
	assert_false(take(EVENT_COMM, 11, 0, 0, 0));
	assert_true(take(EVENT_FORK, 11, 2000000, 10, 995000));
	assert_true(take(EVENT_FORK, 12, 0, 11, 0));
	assert_true(take(EVENT_COMM, 12, 3000000, 0, 0));
	assert_false(take(EVENT_FORK, 13, 4000000, 0, 0));
	assert_false(take(EVENT_EXEC, 14, 4000000, 10, 1000000));

	/* A process that became a member's child by its parent's end starts a thread. */
	fb_event_init(&event, EVENT_FORK);
	EVENT_SET(&event, pid, 20);
	EVENT_SET(&event, tid, 21);
	EVENT_SET(&event, start_usec, 500000);
	EVENT_SET(&event, ppid, 10);
	EVENT_SET(&event, parent_start_usec, 1000000);
	assert_false(tree_take(tree, &event));

	/* A thread's end is not the end. */
	fb_event_init(&event, EVENT_EXIT);
	EVENT_SET(&event, seq, 1);
	EVENT_SET(&event, pid, 11);
	EVENT_SET(&event, tid, 22);
	EVENT_SET(&event, start_usec, 2000000);
	assert_true(tree_take(tree, &event));
	tree_forget(tree, UINT64_MAX);
	assert_true(take(EVENT_COMM, 11, 2000000, 0, 0));

	fb_event_init(&event, EVENT_SOURCE);
	assert_false(tree_take(tree, &event));
}

/* A subscriber that never reads cannot make it use unlimited memory. */
static void test_limit(void **state)
{
	(void)state;
	assert_int_equal(tree_new(&tree, (struct process_id){ 1, 1 }, table), 0);
	for (uint32_t i = 0; i < 70000; i++) {
		assert_true(take(EVENT_FORK, 2 + i, 100000 * (uint64_t)i, 1, 1));
		assert_true(take(EVENT_EXIT, 2 + i, 100000 * (uint64_t)i, 1, 1));
	}
	assert_false(take(EVENT_COMM, 3, 100000, 0, 0));
	assert_true(take(EVENT_COMM, 2 + 69999, 100000 * (uint64_t)69999, 0, 0));
	assert_true(take(EVENT_COMM, 2 + 10000, 100000 * (uint64_t)10000, 0, 0));
	assert_true(take(EVENT_COMM, 1, 1, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_descendants, setup, teardown),
		cmocka_unit_test_setup_teardown(test_living, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
