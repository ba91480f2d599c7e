// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * In which order the connections of several users send.
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
#include "core/budget.h"
#include "core/priority.h"
#include "serve/send-batch.h"
#include "tests/unit/stage.h"
#include "tests/unit/support.h"

#define MANY	40
#define REQUEST 9 /* in the order */

struct talker {
	struct outbox outbox;
	int theirs;
	uint32_t uid;
	unsigned int words;
};

static struct stage stage;
static struct event_base *base;
static struct budget *budget;
static struct budget_account *accounts[3];
static struct face_options options;
static struct outboxes *outboxes;
static struct talker talkers[2 * MANY];
static unsigned int n_talkers;
static uint32_t order[4 * MANY];
static unsigned int n_order;

static int on_piece(struct outbox *outbox, struct send_op *op)
{
	struct talker *talker = (struct talker *)((char *)outbox - offsetof(struct talker, outbox));

	if (talker->words == 0)
		return 0;
	order[n_order++] = talker->uid;
	send_op_add(op, "word", 4);
	return 0;
}

static int on_sent(struct outbox *outbox, const struct send_op *op, size_t n)
{
	(void)op;
	assert_int_equal(n, 4);
	((struct talker *)((char *)outbox - offsetof(struct talker, outbox)))->words--;
	return 0;
}

static void on_wait(struct outbox *outbox, bool full)
{
	(void)outbox, (void)full;
}

static const struct outbox_ops ops = {
	.piece = on_piece, .sent = on_sent, .wait = on_wait, .close = outbox_done
};

static int set_up(void **state)
{
	(void)state;
	test_dir_make();
	stage_open(&stage, 4, 16 << 20, 1, 3);
	base = event_base_new();
	assert_int_equal(event_base_priority_init(base, _PRIORITY_MAX), 0);
	assert_int_equal(outboxes_new(&outboxes, base, stage.hub, &options, &ops), 0);
	assert_int_equal(budget_new(&budget), 0);
	budget_set_time(budget, 10, 20 * USEC_PER_SEC);
	for (uint32_t uid = 0; uid < 3; uid++)
		accounts[uid] = budget_account_get(budget, 1000 + uid, false);
	n_talkers = n_order = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < n_talkers; i++) {
		close(talkers[i].outbox.fd);
		close(talkers[i].theirs);
		outbox_done(&talkers[i].outbox);
	}
	assert_null(outboxes_free(outboxes));
	for (uint32_t uid = 0; uid < 3; uid++)
		budget_account_put(accounts[uid]);
	budget_free(budget);
	event_base_free(base);
	stage_close(&stage);
	test_dir_remove();
	return 0;
}

/* Another connection of a user, with one word to say. */
static struct outbox *connect_user(uint32_t uid)
{
	struct talker *talker = &talkers[n_talkers++];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*talker = (struct talker){ .theirs = fds[1], .uid = uid, .words = 1 };
	assert_int_equal(outbox_init(&talker->outbox, outboxes, fds[0], accounts[uid]), 0);
	return &talker->outbox;
}

static void add(uint32_t uid)
{
	outbox_due(connect_user(uid));
}

static void test_turns(void **state)
{
	(void)state;
	for (int i = 0; i < MANY; i++)
		add(0);
	add(1);
	add(2);
	add(1);
	outboxes_run(outboxes);
	assert_int_equal(n_order, MANY + 3);
	assert_int_equal(order[0], 0);
	assert_int_equal(order[1], 1);
	assert_int_equal(order[2], 2);
	assert_int_equal(order[3], 0);
	assert_int_equal(order[4], 1);
	assert_int_equal(order[5], 0);
}

/* Who has used too much comes after the others. */
static void test_over_share(void **state)
{
	(void)state;
	budget_spend(accounts[0], 3600 * USEC_PER_SEC, clock_usec(CLOCK_MONOTONIC));
	for (int i = 0; i < MANY; i++)
		add(0);
	for (int i = 0; i < 10; i++)
		add(1);
	outboxes_run(outboxes);
	assert_int_equal(n_order, MANY + 10);
	for (int i = 0; i < MANY + 10; i++)
		assert_int_equal(order[i], i < 10 ? 1 : 0);
}

static void on_request(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what, (void)userdata;
	order[n_order++] = REQUEST;
}

/* Nor do they delay what is new for others: that is sent before anything that is asked for. */
static void test_new_events(void **state)
{
	struct event *request = event_new(base, -1, 0, on_request, NULL);

	(void)state;
	event_priority_set(request, PRIORITY_REQUEST);
	event_active(request, EV_TIMEOUT, 0);
	budget_spend(accounts[0], 3600 * USEC_PER_SEC, clock_usec(CLOCK_MONOTONIC));
	for (int i = 0; i < MANY; i++)
		add(0);
	outbox_wake(connect_user(1));
	while (event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE) > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(n_order, MANY + 2);
	/* How much of the rest is sent in the same turn is a matter of time. */
	assert_int_equal(order[0], 1);
	event_free(request);
}

static void test_done(void **state)
{
	(void)state;
	add(0);
	add(1);
	outbox_done(&talkers[0].outbox);
	outboxes_run(outboxes);
	assert_int_equal(n_order, 1);
	assert_int_equal(order[0], 1);
	outbox_done(&(struct outbox){});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_over_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_new_events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_done, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
