// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/notify/queue.h"

/* A server: the ids on its screen, and the calls that it received. The test sets the clock. */
static struct queue queue;
static uint64_t now, calls;
static char screen[64][NOTICE_SUMMARY_MAX];
static uint32_t last_id;
static unsigned int n_sent;

static int setup(void **state)
{
	(void)state;
	memset(screen, 0, sizeof(screen));
	now = 1000000;
	calls = last_id = n_sent = 0;
	queue_init(&queue, 3);
	return 0;
}

static void add(const char *name, enum kind kind)
{
	struct notice notice = { .kind = kind };

	strcpy(notice.name, name);
	strcpy(notice.summary, name);
	queue_add(&queue, &notice, NULL, now);
}

/* Send the next content, if there is any. Return: the number of the call, or 0. */
static uint64_t send_one(uint32_t *replaces, char *summary)
{
	struct notice notice;
	uint64_t when;
	int place = queue_next(&queue, now, &when);

	if (place < 0)
		return 0;
	assert_int_equal(when, UINT64_MAX);
	queue_describe(&queue, (unsigned int)place, &notice);
	*replaces = queue.places[place].id;
	strcpy(summary, notice.summary);
	queue_sent(&queue, (unsigned int)place, ++calls, now);
	n_sent++;
	return calls;
}

static void answer(uint64_t call, uint32_t replaces, const char *summary)
{
	uint32_t id = replaces ? replaces : ++last_id;

	strcpy(screen[id], summary);
	queue_shown(&queue, call, id);
}

static void serve(void)
{
	char summary[NOTICE_SUMMARY_MAX];
	uint32_t replaces;
	uint64_t call;

	while ((call = send_one(&replaces, summary)))
		answer(call, replaces, summary);
}

static unsigned int on_screen(void)
{
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(screen) / sizeof(screen[0]); i++)
		n += screen[i][0] != '\0';
	return n;
}

static void close_one(uint32_t id)
{
	screen[id][0] = '\0';
	queue_closed(&queue, id);
}

static void test_few(void **state)
{
	(void)state;
	add("one", KIND_SUCCESS);
	add("two", KIND_SUCCESS);
	add("three", KIND_SUCCESS);
	serve();
	assert_string_equal(screen[1], "one");
	assert_string_equal(screen[2], "two");
	assert_string_equal(screen[3], "three");
	assert_int_equal(n_sent, 3);
	/* A place that is closed is free again. */
	close_one(2);
	add("four", KIND_SUCCESS);
	serve();
	assert_string_equal(screen[4], "four");
	assert_int_equal(on_screen(), 3);
}

static void test_flood(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		add("many", i == 100 ? KIND_FAILURE : KIND_SUCCESS);
		serve();
		assert_true(on_screen() <= 3);
	}
	assert_string_equal(screen[1], "many");
	assert_string_equal(screen[2], "many");
	/* A notification on the screen is not changed more often than allowed. */
	assert_string_equal(screen[3], "many");
	assert_int_equal(n_sent, 3);
	now += QUEUE_UPDATE_USEC - 1;
	serve();
	assert_int_equal(n_sent, 3);
	now++;
	serve();
	assert_int_equal(n_sent, 4);
	assert_string_equal(screen[3], "198 commands ended");
	serve();
	assert_int_equal(n_sent, 4);
	/* After a notification is closed, its place begins with a new one. */
	close_one(3);
	add("last", KIND_SUCCESS);
	serve();
	assert_string_equal(screen[4], "last");
	assert_int_equal(on_screen(), 3);
}

static void test_when(void **state)
{
	uint64_t when;

	(void)state;
	assert_int_equal(queue_next(&queue, now, &when), -1);
	assert_int_equal(when, UINT64_MAX);
	queue_resize(&queue, 1);
	add("one", KIND_SUCCESS);
	serve();
	add("two", KIND_SUCCESS);
	assert_int_equal(queue_next(&queue, now + 1, &when), -1);
	assert_int_equal(when, now + QUEUE_UPDATE_USEC);
}

/* While a call is not answered, nothing more is sent for its place. */
static void test_slow(void **state)
{
	char summary[NOTICE_SUMMARY_MAX], second[NOTICE_SUMMARY_MAX];
	uint32_t replaces, again;
	uint64_t call;

	(void)state;
	queue_resize(&queue, 1);
	add("one", KIND_SUCCESS);
	call = send_one(&replaces, summary);
	now += 10 * QUEUE_UPDATE_USEC;
	add("two", KIND_SUCCESS);
	add("three", KIND_SUCCESS);
	assert_int_equal(send_one(&again, second), 0);
	answer(call, replaces, summary);
	serve();
	assert_string_equal(screen[1], "3 commands ended");
	assert_int_equal(n_sent, 2);
}

static void test_refused(void **state)
{
	char summary[NOTICE_SUMMARY_MAX];
	uint32_t replaces;
	uint64_t call;

	(void)state;
	queue_resize(&queue, 1);
	add("one", KIND_SUCCESS);
	queue_refused(&queue, send_one(&replaces, summary));
	serve();
	assert_int_equal(n_sent, 1);
	assert_false(queue.places[0].used);
	/* A notice that was added meanwhile is not lost. */
	add("two", KIND_SUCCESS);
	call = send_one(&replaces, summary);
	add("three", KIND_SUCCESS);
	queue_refused(&queue, call);
	serve();
	assert_string_equal(screen[1], "2 commands ended");
	/* Unexpected answers */
	queue_refused(&queue, call);
	queue_shown(&queue, call, 77);
	assert_int_equal(queue.places[0].id, 1);
}

/* A notification is closed while a change is being sent: the new notice is shown separately. */
static void test_closed_meanwhile(void **state)
{
	char summary[NOTICE_SUMMARY_MAX];
	uint32_t replaces;
	uint64_t call;

	(void)state;
	queue_resize(&queue, 1);
	add("one", KIND_SUCCESS);
	serve();
	now += QUEUE_UPDATE_USEC;
	add("two", KIND_SUCCESS);
	call = send_one(&replaces, summary);
	assert_int_equal(replaces, 1);
	close_one(1);
	answer(call, 0, summary);
	assert_string_equal(screen[2], "2 commands ended");
	close_one(2);
	assert_false(queue.places[0].used);
	queue_closed(&queue, 0);
	queue_closed(&queue, 1000);

	/* The same before the change is sent. */
	add("three", KIND_SUCCESS);
	serve();
	add("four", KIND_SUCCESS);
	close_one(3);
	serve();
	assert_string_equal(screen[4], "2 commands ended");
}

static void test_restart(void **state)
{
	char summary[NOTICE_SUMMARY_MAX];
	uint32_t replaces;
	uint64_t call;

	(void)state;
	add("seen", KIND_SUCCESS);
	serve();
	add("under way", KIND_SUCCESS);
	call = send_one(&replaces, summary);
	add("to come", KIND_SUCCESS);
	queue_reset(&queue);
	memset(screen, 0, sizeof(screen));
	/* The old server's answer and ids are ignored. */
	queue_shown(&queue, call, 55);
	queue_closed(&queue, 1);
	last_id = 0;
	serve();
	assert_int_equal(on_screen(), 2);
	assert_string_equal(screen[1], "under way");
	assert_string_equal(screen[2], "to come");
}

/* Without a server, the number of held notices is limited to the number of places. */
static void test_no_server(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		add("early", KIND_SUCCESS);
		queue_reset(&queue);
	}
	serve();
	assert_int_equal(n_sent, 3);
	assert_string_equal(screen[3], "998 commands ended");
}

static void test_silent_server(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		add("old", KIND_SUCCESS);
	serve();
	now += QUEUE_STALE_USEC - 1;
	add("queue", KIND_SUCCESS);
	serve();
	assert_string_equal(screen[3], "2 commands ended");
	now++;
	/* A server that never reports closed notifications: old ones are assumed to be closed, others are replaced. */
	add("new", KIND_SUCCESS);
	serve();
	assert_string_equal(screen[1], "new");
	assert_int_equal(on_screen(), 3);
	/* A server that does report them is trusted. */
	close_one(1);
	now += 2 * QUEUE_STALE_USEC;
	add("a", KIND_SUCCESS);
	add("b", KIND_SUCCESS);
	serve();
	assert_string_equal(screen[2], "old");
	assert_string_equal(screen[3], "3 commands ended");
}

static void test_resize(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		add("x", KIND_SUCCESS);
	queue_resize(&queue, 5);
	add("four", KIND_SUCCESS);
	add("five", KIND_SUCCESS);
	serve();
	assert_int_equal(on_screen(), 5);
	assert_string_equal(screen[3], "four");
	assert_string_equal(screen[5], "3 commands ended");
	add("more", KIND_SUCCESS);
	now += QUEUE_UPDATE_USEC;
	serve();
	assert_string_equal(screen[5], "4 commands ended");

	/* With fewer places, unsent notices are added to the last one, which keeps its notification on the screen. */
	queue_init(&queue, 4);
	memset(screen, 0, sizeof(screen));
	for (int i = 0; i < 6; i++)
		add("y", KIND_SUCCESS);
	queue_resize(&queue, 2);
	serve();
	assert_int_equal(on_screen(), 2);
	assert_string_equal(screen[7], "5 commands ended");
	queue_resize(&queue, 1);
	add("z", KIND_SUCCESS);
	now += QUEUE_UPDATE_USEC;
	serve();
	assert_string_equal(screen[7], "6 commands ended");
}

/* The text of a combined notice changes only when a notice is added. */
static void test_many(void **state)
{
	struct notice notice = { .kind = KIND_CRASH, .summary = "In quiet hours: 2 crashes" };
	struct tally tally = {};

	(void)state;
	queue_resize(&queue, 1);
	strcpy(notice.name, "a");
	tally_add(&tally, &notice);
	tally_add(&tally, &notice);
	notice.name[0] = '\0';
	queue_add(&queue, &notice, &tally, now);
	serve();
	assert_string_equal(screen[1], "In quiet hours: 2 crashes");
	now += QUEUE_UPDATE_USEC;
	add("b", KIND_SUCCESS);
	serve();
	assert_string_equal(screen[1], "1 command ended, 2 crashes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_few, setup),
		cmocka_unit_test_setup(test_flood, setup),
		cmocka_unit_test_setup(test_when, setup),
		cmocka_unit_test_setup(test_slow, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_closed_meanwhile, setup),
		cmocka_unit_test_setup(test_restart, setup),
		cmocka_unit_test_setup(test_no_server, setup),
		cmocka_unit_test_setup(test_silent_server, setup),
		cmocka_unit_test_setup(test_resize, setup),
		cmocka_unit_test_setup(test_many, setup),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("notify-queue", tests, NULL, NULL);
}
