// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where memory runs out in the middle of something: what was begun must neither be left half done nor be out of order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/fold.h"
#include "tests/unit/allocations.h"
#include "tests/unit/stage-test.h"

static struct stage_size size = { 64, 16 << 20, 4 };

static int teardown(void **state)
{
	allocations_until_failure = 0;
	return stage_teardown(state);
}

static void publish_comm(const char *comm)
{
	struct fb_event event;

	fb_event_init(&event, EVENT_COMM);
	EVENT_SET(&event, boot_usec, USEC_PER_SEC);
	EVENT_SET(&event, pid, 7);
	EVENT_SET(&event, start_usec, 5);
	EVENT_SET(&event, uid, 1000);
	EVENT_SET(&event, comm, event_text(comm));
	hub_publish(stage.hub, &event);
}

/* What cannot be kept is published, but not before what was kept already. */
static void names_stay_in_order(void **state)
{
	struct log_place place;
	struct fb_event event;
	uint64_t next;

	(void)state;
	assert_int_equal(hub_begin_fold(stage.hub, NULL), 0);
	for (unsigned int i = 0; i < FOLD_BURST; i++)
		publish_comm("first");
	next = log_next(hub_log(stage.hub));
	publish_comm("kept");
	assert_int_equal(log_next(hub_log(stage.hub)), next);
	allocations_until_failure = allocations_can_fail() ? 1 : 0;
	publish_comm("too long for that");
	allocations_until_failure = 0;
	hub_unfold_at(stage.hub, 100 * USEC_PER_SEC);
	assert_int_equal(log_seek(hub_log(stage.hub), log_next(hub_log(stage.hub)) - 1, &place), 0);
	assert_int_equal(log_read(hub_log(stage.hub), &place, &event), 0);
	assert_true(event_text_equal(event.comm, event_text("too long for that")));
	assert_int_equal(log_next(hub_log(stage.hub)), next + (allocations_can_fail() ? 2 : 1));
}

/* A process in the world, published. */
static struct world_process *fork_from(struct world_process *father)
{
	struct fb_event event;
	struct world_process *child = world_fork(&stage.world, &event, father);

	stage_publish(&stage, &event, child);
	return child;
}

static void end(struct world_process *process)
{
	struct fb_event event;

	world_exit(&stage.world, &event, process);
	stage_publish(&stage, &event, process);
}

/* All allocations of a subscriber who finds the tree of an ended process, one after the other: another one finds it. */
static void a_tree_is_found_by_the_next(void **state)
{
	struct subscriber one, other;
	struct world_process *root, *children[10];
	char request[100];
	const char *data;
	bool failed = allocations_can_fail();
	unsigned int failures = 0;
	ssize_t n;

	(void)state;
	stage_run(&stage, 50, 20);
	root = fork_from(stage.world.living[0]);
	for (unsigned int i = 0; i < 10; i++)
		children[i] = fork_from(root);
	end(root);
	snprintf(request, sizeof(request), "{\"tree\":{\"pid\":%u,\"startUsec\":%llu}}", root->pid,
		 (unsigned long long)root->start_usec);
	for (unsigned long nth = 1; failed; nth++) {
		assert_int_equal(subscribe(&one, &stage, request, SEE_ALL, NULL), 0);
		assert_int_equal(subscribe(&other, &stage, request, SEE_ALL, NULL), 0);
		allocations_until_failure = nth;
		do
			n = cursor_peek(&one.cursor, &data);
		while (n == -EAGAIN);
		failed = allocations_until_failure == 0;
		allocations_until_failure = 0;
		assert_true(n > 0 || (n == -ENOMEM && failed));
		failures += n == -ENOMEM;
		unsubscribe(&one);
		subscriber_read_all(&other);
		for (unsigned int i = 0; i < 10; i++)
			end(fork_from(children[i]));
		subscriber_read_all(&other);
		subscriber_check(&other);
		assert_int_equal(other.n_events, 20);
		unsubscribe(&other);
	}
	assert_true(failures >= 4 || !allocations_can_fail());
}

/* A label keeps the records that it has, although its number cannot be replaced by a newer one. */
static void numbers_keep_their_meaning(void **state)
{
	struct lineage lineage = { .changes = 1 };
	struct labels *labels;
	struct label *outer, *inner;
	struct line *root = lineage_add(&lineage), *child = lineage_add(&lineage);
	uint64_t seq = 1;
	bool failed = false;

	(void)state;
	assert_int_equal(labels_new(&labels, &lineage), 0);
	lineage_join(&lineage, child, root);
	assert_int_equal(label_get(&outer, labels, (struct process_id){ 1, 1 }, root, 1), 0);
	while (!failed && seq < 2000) {
		uint32_t first = labels_number(labels, root, seq++, 1), second;

		assert_int_equal(label_get(&inner, labels, (struct process_id){ 2, 2 }, child, seq), 0);
		second = labels_number(labels, child, seq++, 1);
		allocations_until_failure = allocations_can_fail() ? 1 : 0;
		label_put(labels, inner);
		failed = allocations_can_fail() && labels_find(labels, second) == NULL;
		allocations_until_failure = 0;
		assert_true(label_is_in(labels, outer, first));
	}
	label_put(labels, outer);
	(void)lineage_end(&lineage, child);
	(void)lineage_end(&lineage, root);
	labels_free(labels);
	lineage_done(&lineage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(names_stay_in_order, stage_setup, teardown, &size),
		cmocka_unit_test_prestate_setup_teardown(a_tree_is_found_by_the_next, stage_setup, teardown,
							 &size),
		cmocka_unit_test_prestate_setup_teardown(numbers_keep_their_meaning, stage_setup, teardown,
							 &size),
	};

	return cmocka_run_group_tests_name("no-memory", tests, NULL, NULL);
}
