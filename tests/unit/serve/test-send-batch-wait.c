// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * When new events are sent: at once, or, if sending takes long, with later events.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "serve/send-batch.h"
#include "tests/unit/stage.h"
#include "tests/unit/support.h"

/* Nine times the first is less than the second, and more than any machine takes for a few steps of a test. */
#define LONG_USEC     (30 * USEC_PER_MSEC)
#define MANY	      16
#define COALESCE_USEC (400 * USEC_PER_MSEC)

struct talker {
	struct outbox outbox;
	int theirs;
	unsigned int words; /* that it has to say */
	unsigned int sent, waits;
	useconds_t takes; /* to make one */
	bool goes, gone;
};

static struct stage stage;
static struct event_base *base;
static struct face_options options;
static struct outboxes *outboxes;
static struct talker talker;

static struct talker *talker_of(struct outbox *outbox)
{
	return (struct talker *)((char *)outbox - offsetof(struct talker, outbox));
}

static int on_piece(struct outbox *outbox, struct send_op *op)
{
	struct talker *of = talker_of(outbox);

	if (of->goes)
		return -ESHUTDOWN;
	if (of->words == 0)
		return 0;
	usleep(of->takes);
	send_op_add(op, "word", 4);
	return 0;
}

static int on_sent(struct outbox *outbox, const struct send_op *op, size_t n)
{
	assert_int_equal(op->size, 4);
	assert_int_equal(n, 4);
	talker_of(outbox)->words--;
	talker_of(outbox)->sent++;
	return 0;
}

static void on_wait(struct outbox *outbox, bool full)
{
	assert_false(full);
	talker_of(outbox)->waits++;
}

static void on_close(struct outbox *outbox)
{
	talker_of(outbox)->gone = true;
}

static const struct outbox_ops ops = {
	.piece = on_piece, .sent = on_sent, .wait = on_wait, .close = on_close
};

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	test_dir_make();
	stage_open(&stage, 4, 1 << 20, 1, 3);
	base = event_base_new();
	assert_non_null(base);
	options = (struct face_options){ .coalesce_usec = COALESCE_USEC };
	assert_int_equal(outboxes_new(&outboxes, base, stage.hub, &options, &ops), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	talker = (struct talker){ .theirs = fds[1] };
	assert_int_equal(outbox_init(&talker.outbox, outboxes, fds[0], NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(talker.outbox.fd);
	outbox_done(&talker.outbox);
	close(talker.theirs);
	assert_null(outboxes_free(outboxes));
	event_base_free(base);
	stage_close(&stage);
	test_dir_remove();
	return 0;
}

/* Return: whether something was sent in this turn. */
static bool turn(int flags)
{
	unsigned int sent = talker.sent;

	assert_true(event_base_loop(base, flags) >= 0);
	return talker.sent > sent;
}

static void say(unsigned int words)
{
	talker.words += words;
	outbox_wake(&talker.outbox);
}

/* Many sends, which take long: later events wait. */
static void say_slowly(void)
{
	talker.takes = LONG_USEC / MANY;
	say(MANY);
	assert_true(turn(EVLOOP_ONCE));
	talker.takes = 0;
}

/* And something that does. */
static void say_and_wait(void)
{
	say_slowly();
	say(1);
	assert_false(turn(EVLOOP_NONBLOCK));
}

static void test_at_once(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		options.coalesce_usec = 0;
		say(i % 3 + 1);
		assert_int_equal(talker.sent, 0);
		assert_true(turn(EVLOOP_NONBLOCK));
		assert_int_equal(talker.words, 0);
		assert_int_equal(talker.sent, i % 3 + 1);
		assert_false(turn(EVLOOP_NONBLOCK));
		talker.sent = 0;
	}
	say_slowly();
	say(1);
	assert_true(turn(EVLOOP_NONBLOCK));
}

static void test_later(void **state)
{
	uint64_t began;

	(void)state;
	/* The first one after a pause does not wait. */
	say_slowly();
	began = clock_usec(CLOCK_MONOTONIC);
	say(1);
	assert_false(turn(EVLOOP_NONBLOCK));
	say(1);
	assert_true(turn(EVLOOP_ONCE));
	/* It has taken a ninth of this, and the call before has been over for some time. */
	assert_true(clock_usec(CLOCK_MONOTONIC) - began >= 7 * LONG_USEC);
	assert_int_equal(talker.words, 0);
	assert_int_equal(talker.sent, MANY + 2);
}

/* If a few sends take long, this is chance. */
static void test_few(void **state)
{
	(void)state;
	talker.takes = LONG_USEC;
	say(3);
	assert_true(turn(EVLOOP_NONBLOCK));
	say(1);
	assert_true(turn(EVLOOP_NONBLOCK));
}

/* It never waits longer than it may. */
static void test_limit(void **state)
{
	(void)state;
	options.coalesce_usec = 1;
	say_slowly();
	say(1);
	assert_true(turn(EVLOOP_NONBLOCK));
}

/* A new request, or a socket that has room again, does not wait, and the waiting ones are sent with it. */
static void test_due(void **state)
{
	(void)state;
	say_and_wait();
	outbox_due(&talker.outbox);
	assert_true(turn(EVLOOP_NONBLOCK));
	assert_int_equal(talker.words, 0);
	say_slowly();
	talker.words++;
	outbox_due(&talker.outbox);
	assert_true(turn(EVLOOP_NONBLOCK));
}

/* Nor does it wait after many events. */
static void test_much(void **state)
{
	(void)state;
	say_and_wait();
	stage_run(&stage, 60, 10);
	say(1);
	assert_false(turn(EVLOOP_NONBLOCK));
	stage_run(&stage, 10, 10);
	say(1);
	assert_true(turn(EVLOOP_NONBLOCK));
	assert_int_equal(talker.words, 0);
}

static void test_gone(void **state)
{
	(void)state;
	say_and_wait();
	outbox_done(&talker.outbox);
	assert_false(turn(EVLOOP_ONCE));
	assert_int_equal(talker.words, 1);
	assert_int_equal(outbox_init(&talker.outbox, outboxes, talker.outbox.fd, NULL), 0);
	talker.goes = true;
	outbox_due(&talker.outbox);
	assert_false(turn(EVLOOP_NONBLOCK));
	assert_true(talker.gone);
	assert_int_equal(talker.waits, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_few, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_due, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_much, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gone, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
