// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/hub.h"
#include "tests/unit/module-kernel.h"

#define NUMBERS_MAX 100000
#define ALL	    (FORKBUS_MASK(FORKBUS_TYPE_FORK) | FORKBUS_MASK(FORKBUS_TYPE_EXIT))

/* The result for each number. */
enum fate { NOTHING, TOLD, LOST_IN_KERNEL, LOST_BY_SOCKET };

struct listener {
	struct kernel kernel;
	struct module_stream stream;
	struct random random;
	unsigned int hold; /* one of this many is held; 0: none */
	unsigned char fate[NUMBERS_MAX];
	uint64_t accounted;    /* all numbers up to this one have a result */
	struct module_gap gap; /* the last */
	unsigned int n_gaps, n_unarmed;
};

static ssize_t on_receive(void *userdata, enum module_channel channel, void *buffer, size_t size)
{
	struct listener *listener = userdata;

	return kernel_receive(&listener->kernel, channel, buffer, size);
}

static int on_replay(void *userdata, uint64_t from)
{
	struct listener *listener = userdata;

	return kernel_replay(&listener->kernel, from);
}

static enum module_answer on_record(void *userdata, struct module_record *record)
{
	struct listener *listener = userdata;

	if (listener->hold && random_below(&listener->random, listener->hold) == 0)
		return MODULE_HOLD;
	assert_true(record->seq > listener->accounted && record->seq < NUMBERS_MAX);
	assert_int_equal(record->event.kernel_seq, record->seq);
	listener->fate[record->seq] = TOLD;
	listener->accounted = record->seq;
	return MODULE_TAKEN;
}

static void on_lost(void *userdata, const struct module_gap *gap)
{
	struct listener *listener = userdata;
	uint64_t last = gap->loss == MODULE_LOST_KERNEL ? gap->seq - 1 : gap->seq;

	listener->gap = *gap;
	if (gap->loss == MODULE_LOST_UNARMED && gap->count == HUB_COUNT_UNKNOWN) {
		listener->n_unarmed++;
		return;
	}
	listener->n_gaps++;
	assert_true(gap->count > 0);
	for (uint64_t seq = last - gap->count + 1; seq <= last; seq++) {
		assert_int_equal(listener->fate[seq], NOTHING);
		listener->fate[seq] = gap->loss == MODULE_LOST_KERNEL ? LOST_IN_KERNEL : LOST_BY_SOCKET;
	}
	listener->accounted = last;
}

static const struct module_ops ops = { on_receive, on_replay, on_record, on_lost };

static struct listener *listener_new(uint64_t ring, size_t live, unsigned int batch)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	assert_non_null(listener);
	kernel_init(&listener->kernel, ring, live, batch);
	assert_int_equal(module_stream_init(&listener->stream, &ops, listener), 0);
	listener->stream.family = KERNEL_FAMILY;
	listener->stream.instance = listener->kernel.instance;
	listener->stream.wanted = ALL;
	return listener;
}

static void listener_free(struct listener *listener)
{
	module_stream_done(&listener->stream);
	kernel_done(&listener->kernel);
	free(listener);
}

/* Run until there is nothing more. */
static void drain(struct listener *listener)
{
	int r;

	kernel_send(&listener->kernel);
	do
		r = module_stream_run(&listener->stream, 10);
	while (r == MODULE_BUSY || r == MODULE_HELD);
	assert_int_equal(r, MODULE_IDLE);
}

static unsigned int count(const struct listener *listener, enum fate fate)
{
	unsigned int n = 0;

	for (uint64_t seq = 1; seq <= listener->kernel.last; seq++)
		n += listener->fate[seq] == fate;
	return n;
}

static void happen(struct listener *listener, unsigned int n)
{
	while (n-- > 0)
		kernel_event(&listener->kernel, FORKBUS_TYPE_FORK,
			     1 + (uint32_t)random_below(&listener->random, 100));
}

static void test_order(void **state)
{
	struct listener *listener = listener_new(100, 10, 3);

	(void)state;
	happen(listener, 25);
	drain(listener);
	happen(listener, 1);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 26);
	assert_int_equal(listener->stream.last, 26);
	assert_int_equal(listener->kernel.n_replays, 0);
	assert_int_equal(listener->n_gaps, 0);
	listener_free(listener);
}

/* More than the socket can hold, less than the ring. */
static void test_overrun(void **state)
{
	struct listener *listener = listener_new(100, 4, 3);

	(void)state;
	happen(listener, 80);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 80);
	assert_int_equal(listener->stream.stats.overruns, 1);
	assert_int_equal(listener->kernel.n_replays, 1);
	assert_int_equal(listener->n_gaps, 0);
	listener_free(listener);
}

/* Only a gap shows the overrun, in the middle of a message that is held. */
static void test_hole(void **state)
{
	struct listener *listener = listener_new(100, 4, 4);
	struct kernel *kernel = &listener->kernel;

	(void)state;
	happen(listener, 3);
	drain(listener);
	happen(listener, 5);
	kernel_forget(kernel);
	happen(listener, 3);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 11);
	assert_int_equal(kernel->n_replays, 1);
	assert_int_equal(listener->stream.stats.doubles, 3);
	listener_free(listener);
}

/* More than the ring can hold: exactly the missing number is reported. */
static void test_overwritten(void **state)
{
	struct listener *listener = listener_new(50, 4, 3);

	(void)state;
	happen(listener, 5);
	drain(listener);
	for (int i = 0; i < 10; i++) {
		happen(listener, 20);
		kernel_send(&listener->kernel);
	}
	drain(listener);
	/* 12 records were in the socket, 50 in the ring. */
	assert_int_equal(count(listener, TOLD), 5 + 12 + 50);
	assert_int_equal(count(listener, LOST_BY_SOCKET), 200 - 12 - 50);
	assert_int_equal(listener->n_gaps, 1);
	assert_int_equal(listener->gap.loss, MODULE_LOST_NETLINK);
	assert_int_equal(listener->gap.since_nsec, 1000 + 17 * 1000);
	assert_int_equal(listener->gap.until_nsec, 1000 + (205 - 49) * 1000);
	listener_free(listener);
}

static void test_kernel_lost(void **state)
{
	struct listener *listener = listener_new(20, 10, 4);

	(void)state;
	/* The ring is not read: 30 are lost. */
	happen(listener, 50);
	drain(listener);
	happen(listener, 5);
	drain(listener);
	assert_int_equal(count(listener, LOST_IN_KERNEL), 30);
	assert_int_equal(count(listener, TOLD), 25);
	assert_int_equal(listener->gap.loss, MODULE_LOST_KERNEL);
	assert_int_equal(listener->gap.count, 30);
	assert_int_equal(listener->gap.since_nsec, 1000 + 21 * 1000);
	assert_int_equal(listener->n_gaps, 1);
	listener_free(listener);
}

static void test_refused(void **state)
{
	struct listener *listener = listener_new(100, 4, 3);

	(void)state;
	listener->kernel.refuse = true;
	happen(listener, 80);
	drain(listener);
	/* The first record after the overrun shows which are missing. */
	happen(listener, 1);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 13);
	assert_int_equal(count(listener, LOST_BY_SOCKET), 68);
	listener->kernel.refuse = false;
	happen(listener, 80);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 13 + 80);
	listener_free(listener);
}

/* Replays without new records are not requested without limit. */
static void test_in_vain(void **state)
{
	struct listener *listener = listener_new(100, 4, 3);

	(void)state;
	listener->kernel.mute = true;
	happen(listener, 80);
	drain(listener);
	happen(listener, 1);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 13);
	assert_int_equal(count(listener, LOST_BY_SOCKET), 68);
	assert_true(listener->kernel.n_replays <= 3);
	listener->kernel.mute = false;
	happen(listener, 80);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 13 + 80);
	listener_free(listener);
}

/* Another broker has published everything up to a number. */
static void test_resume(void **state)
{
	struct listener *listener = listener_new(50, 4, 3);

	(void)state;
	happen(listener, 30);
	kernel_send(&listener->kernel);
	kernel_forget(&listener->kernel);
	listener->stream.last = listener->accounted = 20;
	module_stream_replay(&listener->stream);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 10);
	assert_int_equal(listener->n_gaps, 0);
	listener_free(listener);

	/* And then more than the ring can hold. */
	listener = listener_new(50, 4, 3);
	happen(listener, 20);
	kernel_forget(&listener->kernel);
	happen(listener, 50);
	kernel_forget(&listener->kernel);
	happen(listener, 10);
	kernel_forget(&listener->kernel);
	listener->stream.last = listener->accounted = 20;
	listener->stream.hole = MODULE_LOST_UNARMED;
	module_stream_replay(&listener->stream);
	drain(listener);
	assert_int_equal(count(listener, TOLD), 50);
	assert_int_equal(listener->gap.loss, MODULE_LOST_UNARMED);
	assert_int_equal(listener->gap.count, 10);
	assert_int_equal(listener->stream.hole, MODULE_LOST_NETLINK);
	listener_free(listener);
}

static void test_unarmed(void **state)
{
	struct listener *listener = listener_new(50, 4, 3);
	struct kernel *kernel = &listener->kernel;

	(void)state;
	kernel_armed(kernel, ALL);
	happen(listener, 3);
	kernel_armed(kernel, ALL | FORKBUS_MASK(FORKBUS_TYPE_CHROOT));
	drain(listener);
	assert_int_equal(listener->n_unarmed, 0);
	kernel_armed(kernel, FORKBUS_MASK(FORKBUS_TYPE_FORK));
	kernel_armed(kernel, 0);
	drain(listener);
	assert_int_equal(listener->n_unarmed, 0);
	kernel_armed(kernel, ALL);
	happen(listener, 3);
	drain(listener);
	assert_int_equal(listener->n_unarmed, 1);
	assert_int_equal(listener->gap.since_nsec, 1000 + 6 * 1000);
	assert_int_equal(listener->gap.until_nsec, 1000 + 8 * 1000);
	assert_int_equal(count(listener, TOLD), 6);
	listener_free(listener);
}

/* Another instance, another family, an unknown type: all are ignored. */
static void test_foreign(void **state)
{
	struct listener *listener = listener_new(50, 4, 3);

	(void)state;
	listener->kernel.instance++;
	happen(listener, 2);
	kernel_send(&listener->kernel);
	listener->kernel.instance--;
	kernel_event(&listener->kernel, __FORKBUS_TYPE_MAX + 3, 7);
	happen(listener, 1);
	drain(listener);
	assert_true(listener->stream.stats.foreign > 0);
	assert_int_equal(listener->stream.stats.unknown, 1);
	/* The replay has published the first two. */
	assert_int_equal(count(listener, TOLD), 3);
	assert_int_equal(listener->n_gaps, 0);
	listener_free(listener);
}

/* In all cases each number has exactly one result, in order. */
static void test_chance(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct random random = { seed };
		struct listener *listener =
			listener_new(5 + random_below(&random, 200), 1 + random_below(&random, 20),
				     1 + (unsigned int)random_below(&random, 12));

		listener->random = random;
		listener->hold = (unsigned int)random_below(&random, 6);
		if (listener->hold == 1)
			listener->hold = 0;
		for (int i = 0; i < 200; i++) {
			switch (random_below(&random, 6)) {
			case 0:
				happen(listener, (unsigned int)random_below(&random, 100));
				break;
			case 1:
				kernel_armed(&listener->kernel, ALL);
				break;
			case 2:
			case 3:
				kernel_send(&listener->kernel);
				break;
			default:
				(void)module_stream_run(&listener->stream,
							1 + (unsigned int)random_below(&random, 5));
				break;
			}
		}
		/* One more, so that the last loss is reported. */
		drain(listener);
		happen(listener, 1);
		drain(listener);
		assert_int_equal(listener->stream.last, listener->kernel.last);
		/* Records LOST and ARMED count, too. */
		assert_int_equal(listener->stream.stats.records + count(listener, LOST_IN_KERNEL) +
					 count(listener, LOST_BY_SOCKET),
				 listener->kernel.last);
		listener_free(listener);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	    cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_hole),	    cmocka_unit_test(test_overwritten),
		cmocka_unit_test(test_kernel_lost), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_in_vain),	    cmocka_unit_test(test_resume),
		cmocka_unit_test(test_unarmed),	    cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_chance),
	};

	return cmocka_run_group_tests_name("module stream", tests, NULL, NULL);
}
