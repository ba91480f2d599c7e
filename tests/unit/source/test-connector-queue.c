// SPDX-License-Identifier: LGPL-2.1-or-later
/* The order of messages, and the missing ones according to the sequence numbers of each CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/connector/queue.h"

static struct connector_queue queue;

static int setup(void **state)
{
	(void)state;
	return connector_queue_init(&queue);
}

static int teardown(void **state)
{
	(void)state;
	connector_queue_done(&queue);
	connector_queue_done(&queue);
	return 0;
}

static const struct connector_message *push(uint32_t cpu, uint32_t seq, uint64_t nsec)
{
	const struct cn_event cn = { .what = PROC_EVENT_FORK, .cpu = cpu, .seq = seq, .nsec = nsec };

	return connector_queue_push(&queue, &cn);
}

static void assert_gap(const struct connector_message *message, uint64_t count, uint64_t since_nsec)
{
	assert_int_equal(message->gap, count);
	if (count)
		assert_int_equal(message->gap_nsec, since_nsec);
}

/* The queue wraps, and can be filled completely. */
static void test_order(void **state)
{
	(void)state;
	assert_true(connector_queue_is_empty(&queue));
	assert_null(connector_queue_peek(&queue, 0));
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; connector_queue_room(&queue) > 0; i++) {
			push(0, round * QUEUE_MAX + i, i);
			connector_queue_peek(&queue, 0)->gap = 1;
		}
		assert_int_equal(connector_queue_peek(&queue, 5)->cn.nsec, 5);
		assert_null(connector_queue_peek(&queue, QUEUE_MAX));
		for (uint32_t i = 0; i < QUEUE_MAX; i++) {
			assert_int_equal(connector_queue_peek(&queue, 0)->cn.nsec, i);
			connector_queue_drop(&queue);
		}
		assert_true(connector_queue_is_empty(&queue));
	}
	/* Nothing is left of the message that had the place before. */
	assert_gap(push(0, 3 * QUEUE_MAX, 1), 0, 0);
}

/* A gap in the numbers of a CPU is exactly the number of dropped messages; there is none before the first message of each. */
static void test_loss(void **state)
{
	(void)state;
	assert_gap(push(0, 100, 10), 0, 0);
	assert_gap(push(1, 7, 11), 0, 0);
	assert_gap(push(0, 101, 12), 0, 0);
	assert_gap(push(0, 104, 30), 2, 12);
	assert_gap(push(1, 9, 25), 1, 11);
	assert_gap(push(1, 10, 40), 0, 0);
	assert_gap(push(1, 12, 50), 1, 40);
}

/* Numbers wrap, and a repeated one is not a gap. */
static void test_numbers(void **state)
{
	(void)state;
	assert_gap(push(0, UINT32_MAX - 1, 1), 0, 0);
	assert_gap(push(0, UINT32_MAX, 2), 0, 0);
	assert_gap(push(0, 0, 3), 0, 0);
	assert_gap(push(0, 2, 4), 1, 3);
	assert_gap(push(0, 1, 5), 0, 0);
	assert_gap(push(0, 2, 6), 0, 0);
	/* More CPUs than are counted. */
	assert_gap(push(QUEUE_CPUS_MAX, 1, 7), 0, 0);
	assert_gap(push(QUEUE_CPUS_MAX, 9, 8), 0, 0);
	assert_gap(push(UINT32_MAX, 9, 8), 0, 0);
}

/* Is there a fork of a process with this pid? Threads do not count, nor does what was published. */
static void test_forks(void **state)
{
	struct cn_event fork = { .what = PROC_EVENT_FORK, .tgid = 20, .tid = 21 };

	(void)state;
	connector_queue_push(&queue, &fork);
	assert_false(connector_queue_may_fork(&queue, 20));
	fork.tid = 20;
	connector_queue_push(&queue, &fork);
	assert_true(connector_queue_may_fork(&queue, 20));
	assert_false(connector_queue_may_fork(&queue, 21));
	connector_queue_drop(&queue);
	assert_true(connector_queue_may_fork(&queue, 20));
	connector_queue_drop(&queue);
	assert_false(connector_queue_may_fork(&queue, 20));
}

/* The socket's counter and the gaps find the same losses: each is reported once, whichever shows it first. */
static void test_drops(void **state)
{
	struct connector_drops drops = {};

	(void)state;
	assert_int_equal(connector_drops_take(&drops), 0);
	/* An overrun; then the gaps of the CPUs that it hit. */
	drops.by_socket += 10;
	assert_int_equal(connector_drops_take(&drops), 10);
	drops.by_gaps += 4;
	assert_int_equal(connector_drops_take(&drops), 0);
	drops.by_gaps += 6;
	assert_int_equal(connector_drops_take(&drops), 0);
	/* A gap that is read in the same turn as the overrun, before the counter is. */
	drops.by_gaps += 3;
	assert_int_equal(connector_drops_take(&drops), 3);
	drops.by_socket += 5;
	assert_int_equal(connector_drops_take(&drops), 2);
	drops.by_gaps += 2;
	assert_int_equal(connector_drops_take(&drops), 0);
	/* The kernel had no memory for a message: only the gap shows it. */
	drops.by_gaps += 1;
	assert_int_equal(connector_drops_take(&drops), 1);
}

/* A gap of one overrun, read when the socket has counted the next one, says nothing of that: its time would be wrong. */
static void test_drops_of_gaps(void **state)
{
	struct connector_drops drops = {};

	(void)state;
	drops.by_socket += 10;
	assert_int_equal(connector_drops_take(&drops), 10);
	drops.by_socket += 5;
	drops.by_gaps += 10;
	assert_int_equal(connector_drops_take_gaps(&drops), 0);
	drops.by_gaps += 1;
	assert_int_equal(connector_drops_take_gaps(&drops), 1);
	assert_int_equal(connector_drops_take(&drops), 4);
}

/* The first message that is younger than an overrun comes after it; what the socket still held is older. */
static void test_overruns(void **state)
{
	struct connector_drops drops = {};

	(void)state;
	assert_int_equal(connector_drops_pass(&drops, 5), 0);
	connector_drops_begin(&drops, 10);
	assert_int_equal(connector_drops_pass(&drops, 9), 0);
	assert_int_equal(connector_drops_pass(&drops, 10), 10);
	assert_int_equal(connector_drops_pass(&drops, 11), 0);
	/* Two before the next message: whatever came between comes after the first one. */
	connector_drops_begin(&drops, 20);
	connector_drops_begin(&drops, 30);
	assert_int_equal(connector_drops_pass(&drops, 19), 0);
	assert_int_equal(connector_drops_pass(&drops, 25), 20);
	assert_int_equal(connector_drops_pass(&drops, 26), 20);
	assert_int_equal(connector_drops_pass(&drops, 31), 30);
	assert_int_equal(connector_drops_pass(&drops, 32), 0);

	connector_drops_place(&drops, 30, 7);
	connector_drops_place(&drops, 40, 9);
	assert_true(drops.pending);
	assert_int_equal(drops.at, 7);
	assert_int_equal(drops.lost_nsec, 40);
}

int main(void)
{
#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)
	const struct CMUnitTest tests[] = { TEST(test_order),	TEST(test_loss),  TEST(test_numbers),
					    TEST(test_forks),	TEST(test_drops), TEST(test_drops_of_gaps),
					    TEST(test_overruns) };

	return cmocka_run_group_tests_name("connector-queue", tests, NULL, NULL);
}
