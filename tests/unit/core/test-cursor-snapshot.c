// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "log-format.h"
#include "tests/unit/stage-test.h"

static struct subscriber one, two;

static struct stage_size large = { 64, 16 << 20, 2 };
/* Much history, with a minimal cache */
static struct stage_size no_cache = { 64, 0, 2 };

static void begin(struct subscriber *subscriber, const char *request)
{
	assert_int_equal(subscribe(subscriber, &stage, request, SEE_ALL, NULL), 0);
}

/* The processes that live at this time are reported once, then their later events. */
static void check_snapshot(const struct subscriber *subscriber, const uint32_t *pids, size_t n)
{
	const char *at = subscriber->got;
	static struct event_store store;
	struct fb_event event;
	bool *seen = calloc(n, sizeof(*seen));

	assert_non_null(seen);
	for (size_t i = 0; i < subscriber->n_processes; i++) {
		const char *end = strchr(at, '\n');
		size_t j = 0;

		assert_int_equal(event_json_decode(&event, &store, at, (size_t)(end - at)), 0);
		assert_int_equal(event.type, EVENT_PROCESS);
		while (j < n && pids[j] != event.pid)
			j++;
		assert_true(j < n);
		assert_false(seen[j]);
		seen[j] = true;
		at = end + 1;
	}
	/* Missing processes ended before the snapshot reached them, and their exits are reported after it. */
	for (size_t j = 0; j < n; j++) {
		char text[64];

		snprintf(text, sizeof(text), "\"pid\":%u,", pids[j]);
		assert_true(seen[j] || strstr(at, text));
		if (!seen[j])
			assert_non_null(strstr(at, "\"type\":\"exit\""));
	}
	free(seen);
}

static void test_snapshot(void **state)
{
	static uint32_t pids[WORLD_LIVING_MAX];
	static struct world_process *father;
	struct fb_event event;

	(void)state;
	/* As many as take some pieces. */
	while (stage.world.n_living < WORLD_LIVING_MAX - 20) {
		father = stage.world.n_living ? world_pick(&stage.world) : NULL;
		struct world_process *process = world_fork(&stage.world, &event, father);

		stage_publish(&stage, &event, process);
	}
	for (int run = 0; run < 20; run++) {
		size_t n = stage.world.n_living;
		bool done = false;

		for (size_t i = 0; i < n; i++)
			pids[i] = stage.world.living[i]->pid;
		begin(&one, "{\"snapshot\":true}");
		/* There are many events between its pieces. */
		while (!done) {
			done = subscriber_read(&one, 3000, 1 + random_below(&stage.world.random, 6000));
			if (!one.is_ready && !done)
				stage_run(&stage, 3, 1);
		}
		subscriber_check(&one);
		assert_int_equal(one.n_lost, 0);
		/* Terminated, for strstr() */
		one.got = realloc(one.got, one.size + 1);
		one.got[one.size] = '\0';
		check_snapshot(&one, pids, n);
		unsubscribe(&one);
	}
}

/* A snapshot through a filter and with little rights */
static void test_snapshot_filter(void **state)
{
	unsigned int all = 0, mine = 0, sh = 0;

	(void)state;
	stage_run(&stage, 2000, 100);
	for (size_t i = 0; i < stage.world.n_living; i++) {
		all++;
		mine += stage.world.living[i]->uid == 1001;
		sh += stage.world.living[i]->uid == 1001 && stage.world.living[i]->comm == 0;
	}
	begin(&one, "{\"snapshot\":true,\"types\":\"exit\"}");
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_processes, all);
	unsubscribe(&one);
	assert_int_equal(
		subscribe(&one, &stage, "{\"snapshot\":true}", (struct visibility){ .uid = 1001 }, NULL), 0);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_processes, mine);
	unsubscribe(&one);
	assert_int_equal(subscribe(&one, &stage, "{\"snapshot\":true,\"comm\":\"sh\"}",
				   (struct visibility){ .uid = 1001 }, NULL),
			 0);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_processes, sh);
	assert_true(sh > 0 && sh < mine && mine < all);
	unsubscribe(&one);
}

/* The descendants of a process, from its start: live, after a while, and from the log, while others use the cache */
static void test_tree(void **state)
{
	enum { OTHERS = 8 };
	static struct subscriber others[OTHERS];
	char live[100], history[200], cursor[CURSOR_TEXT_MAX];
	unsigned int events = 0, histories = 0;
	struct fb_event event;

	(void)state;
	stage_run(&stage, 300, 100);
	for (int i = 0; i < OTHERS; i++) {
		snprintf(live, sizeof(live), "{\"minElapsedUsec\":%d}", i);
		begin(&others[i], live);
	}
	for (int run = 0; run < (in_valgrind() ? 4 : 30); run++) {
		struct world_process *root = world_fork(&stage.world, &event, world_pick(&stage.world));
		uint64_t birth = stage_publish(&stage, &event, root);

		snprintf(live, sizeof(live), "{\"tree\":{\"pid\":%u,\"startUsec\":%llu}%s}", root->pid,
			 (unsigned long long)root->start_usec,
			 run % 3 ? "" : ",\"types\":[\"exit\",\"comm\"]");
		snprintf(history, sizeof(history),
			 "{\"tree\":{\"pid\":%u,\"startUsec\":%llu},\"since\":\"%s\"}", root->pid,
			 (unsigned long long)root->start_usec,
			 cursor_print(cursor, log_epoch(hub_log(stage.hub)), birth - 1));
		begin(&one, live);
		subscriber_read_all(&one);
		/* Some generations; the other snapshot begins late, after parents have died. */
		for (int i = 0; i < 10; i++) {
			stage_run(&stage, 40, 10);
			subscriber_read(&one, 1000, random_below(&stage.world.random, 5000));
		}
		assert_true(log_first(hub_log(stage.hub)) <= birth);
		begin(&two, run % 2 ? live : history);
		histories += run % 2 == 0;
		/* There are new events before it has read the earlier ones. */
		stage_run(&stage, 40, 10);
		for (int i = 0; i < 10; i++) {
			subscriber_read(&one, 1000, random_below(&stage.world.random, 5000));
			subscriber_read(&two, 1000, random_below(&stage.world.random, 5000));
			stage_run(&stage, 40, 10);
			for (int other = 0; other < OTHERS; other++)
				subscriber_read_all(&others[other]);
		}
		subscriber_read_all(&one);
		subscriber_read_all(&two);
		subscriber_check(&one);
		subscriber_check(&two);
		assert_int_equal(one.n_lost + two.n_lost, 0);
		events += one.n_events + two.n_events;
		unsubscribe(&one);
		unsubscribe(&two);
	}
	for (int i = 0; i < OTHERS; i++) {
		subscriber_check(&others[i]);
		unsubscribe(&others[i]);
	}
	print_message("# %u events of members\n", events);
	assert_true(events > (in_valgrind() ? 10 : 500));
	assert_true(histories > 0);
}

/* A member that is only in the log forks before the log is read: its child is found there, too. */
static void test_tree_late(void **state)
{
	struct world_process *root, *father, *child, *grandchild;
	struct fb_event event;
	char request[100];

	(void)state;
	stage_run(&stage, 100, 100);
	root = world_fork(&stage.world, &event, stage.world.living[0]);
	stage_publish(&stage, &event, root);
	father = world_fork(&stage.world, &event, root);
	stage_publish(&stage, &event, father);
	child = world_fork(&stage.world, &event, father);
	stage_publish(&stage, &event, child);
	world_exit(&stage.world, &event, father);
	stage_publish(&stage, &event, father);
	snprintf(request, sizeof(request), "{\"tree\":%u,\"types\":\"fork\"}", root->pid);
	begin(&one, request);
	grandchild = world_fork(&stage.world, &event, child);
	stage_publish(&stage, &event, grandchild);
	hub_flush(stage.hub);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_events, 1);
	/* And is known from then on. */
	stage_publish(&stage, (world_fork(&stage.world, &event, grandchild), &event),
		      &stage.world.ever[stage.world.n_ever - 1]);
	hub_flush(stage.hub);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_events, 2);
	unsubscribe(&one);
}

/* A dead root's descendants are found in the log; a bare pid must live. */
static void test_tree_of_the_dead(void **state)
{
	struct filter_error error = { 0 };
	struct world_process *root, *child;
	struct fb_event event;
	char request[100];

	(void)state;
	stage_run(&stage, 100, 100);
	root = world_fork(&stage.world, &event, stage.world.living[0]);
	stage_publish(&stage, &event, root);
	child = world_fork(&stage.world, &event, root);
	stage_publish(&stage, &event, child);
	world_exit(&stage.world, &event, root);
	stage_publish(&stage, &event, root);
	snprintf(request, sizeof(request), "{\"tree\":%u}", root->pid);
	assert_int_equal(subscribe(&one, &stage, request, SEE_ALL, &error), FILTER_E_INVALID);
	assert_string_equal(error.key, "tree");
	snprintf(request, sizeof(request), "{\"tree\":{\"pid\":%u,\"startUsec\":%llu},\"snapshot\":true}",
		 root->pid, (unsigned long long)root->start_usec);
	begin(&one, request);
	subscriber_read_all(&one);
	world_exit(&stage.world, &event, child);
	stage_publish(&stage, &event, child);
	hub_flush(stage.hub);
	subscriber_read_all(&one);
	subscriber_check(&one);
	assert_int_equal(one.n_processes, 1);
	assert_int_equal(one.n_events, 1);
	unsubscribe(&one);
}

static void on_wake(struct cursor *cursor)
{
	(void)cursor;
}

static int begin_counted(struct cursor *cursor, const char *text, struct budget_account *account,
			 struct filter_error *error)
{
	struct request request;
	int r;

	assert_int_equal(request_parse(&request, text, strlen(text), error), 0);
	r = cursor_init(cursor, stage.hub, &request, SEE_ALL, account, &encoding_lines, on_wake, error);
	request_done(&request);
	return r;
}

static ssize_t peek(struct cursor *cursor)
{
	const char *data;
	ssize_t n;

	do
		n = cursor_peek(cursor, &data);
	while (n == -EAGAIN);
	return n;
}

/* A tree whose processes are all in the log. Return: its root. */
static const struct world_process *make_tree(void)
{
	const struct world_process *root;
	struct fb_event event;

	stage_run(&stage, 300, 100);
	root = world_fork(&stage.world, &event, world_pick(&stage.world));
	stage_publish(&stage, &event, root);
	for (int i = 0; i < 200; i++) {
		const struct world_process *child =
			world_fork(&stage.world, &event, world_find(&stage.world, root->pid, 0));

		stage_publish(&stage, &event, child);
		world_exit(&stage.world, &event, world_find(&stage.world, child->pid, 0));
		stage_publish(&stage, &event, child);
	}
	return root;
}

/* The past of a tree is counted for who asks for it; one who has no room fails alone, though the past is shared. */
static void test_tree_budget(void **state)
{
	struct budget_account *poor, *rich;
	struct filter_error error = { 0 };
	struct budget *budget;
	struct cursor a, b, c;
	const struct world_process *root;
	char live[100], past[100];

	(void)state;
	root = make_tree();
	snprintf(live, sizeof(live), "{\"tree\":%u}", root->pid);
	snprintf(past, sizeof(past), "{\"tree\":%u,\"since\":\"-500000h\",\"types\":\"exit\"}", root->pid);

	assert_int_equal(budget_new(&budget), 0);
	budget_set(budget, BUDGET_LABELS, UINT64_MAX, 1200);
	poor = budget_account_get(budget, 1001, false);
	assert_int_equal(begin_counted(&a, past, poor, &error), 0);
	budget_set(budget, BUDGET_LABELS, UINT64_MAX, 1 << 20);
	rich = budget_account_get(budget, 1002, false);
	budget_set(budget, BUDGET_LABELS, UINT64_MAX, 1200);
	assert_int_equal(peek(&a), -EDQUOT);
	budget_set(budget, BUDGET_LABELS, UINT64_MAX, 1 << 20);
	assert_int_equal(begin_counted(&b, past, rich, &error), 0);
	assert_true(peek(&b) > 0);
	assert_true(budget_taken(rich, BUDGET_LABELS) > 512);
	assert_int_equal(budget_taken(poor, BUDGET_LABELS), 512);
	cursor_done(&a);
	cursor_done(&b);
	assert_int_equal(budget_used(budget, BUDGET_LABELS), 0);

	/* More labels than there may be. */
	budget_set(budget, BUDGET_LABELS, UINT64_MAX, 1100);
	assert_int_equal(begin_counted(&a, live, poor, &error), 0);
	assert_int_equal(begin_counted(&b, live, poor, &error), 0);
	assert_int_equal(begin_counted(&c, live, poor, &error), FILTER_E_INVALID);
	assert_string_equal(error.key, "labels");
	cursor_done(&a);
	cursor_done(&b);
	assert_int_equal(budget_used(budget, BUDGET_LABELS), 0);
	budget_account_put(poor);
	budget_account_put(rich);
	budget_free(budget);
}

/* Who has gone pays no more for what others go on reading. If they have no room for it either, it is lost for them. */
static void test_tree_payer(void **state)
{
	struct budget_account *first, *second, *poor;
	struct filter_error error = { 0 };
	struct budget *budget;
	struct cursor a, a_too, b, c;
	char past[100];
	const char *data;
	ssize_t n;

	(void)state;
	snprintf(past, sizeof(past), "{\"tree\":%u,\"since\":\"-500000h\",\"types\":\"exit\"}",
		 make_tree()->pid);
	assert_int_equal(budget_new(&budget), 0);
	first = budget_account_get(budget, 1001, false);
	second = budget_account_get(budget, 1002, false);
	poor = budget_account_get(budget, 1003, false);
	assert_int_equal(begin_counted(&a, past, first, &error), 0);
	assert_int_equal(begin_counted(&b, past, second, &error), 0);
	assert_int_equal(begin_counted(&c, past, poor, &error), 0);
	assert_true(peek(&a) > 0);
	assert_true(peek(&b) > 0);
	assert_true(peek(&c) > 0);
	assert_int_equal(begin_counted(&a_too, past, first, &error), 0);
	assert_true(budget_taken(first, BUDGET_LABELS) > 2 * 512 + 4000);
	assert_int_equal(budget_taken(second, BUDGET_LABELS), 512);

	cursor_done(&a);
	assert_true(budget_taken(first, BUDGET_LABELS) > 512 + 4000);
	budget_set(budget, BUDGET_LABELS, UINT64_MAX, 8000);
	assert_int_equal(budget_take(poor, BUDGET_LABELS, 7000), 0);
	cursor_done(&a_too);
	assert_int_equal(budget_taken(first, BUDGET_LABELS), 0);
	assert_true(budget_taken(second, BUDGET_LABELS) > 512 + 4000);
	assert_int_equal(budget_taken(poor, BUDGET_LABELS), 512 + 7000);

	cursor_done(&b);
	assert_int_equal(budget_taken(second, BUDGET_LABELS), 0);
	assert_int_equal(budget_taken(poor, BUDGET_LABELS), 512 + 7000);
	n = cursor_peek(&c, &data);
	assert_true(n > 0 && memmem(data, (size_t)n, "\"ready\"", 7));
	assert_int_equal(cursor_sent(&c, (size_t)n), 0);
	n = peek(&c);
	assert_true(n > 0 && memmem(c.own, (size_t)n, "\"expired\"", 9));
	cursor_done(&c);
	budget_give(poor, BUDGET_LABELS, 7000);
	assert_int_equal(budget_used(budget, BUDGET_LABELS), 0);
	budget_account_put(first);
	budget_account_put(second);
	budget_account_put(poor);
	budget_free(budget);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_snapshot, large),    STAGE_TEST(test_snapshot_filter, large),
		STAGE_TEST(test_tree, large),	     STAGE_TEST(test_tree, no_cache),
		STAGE_TEST(test_tree_late, large),   STAGE_TEST(test_tree_of_the_dead, large),
		STAGE_TEST(test_tree_budget, large), STAGE_TEST(test_tree_payer, large),
	};

	return cmocka_run_group_tests_name("cursor-snapshot", tests, NULL, NULL);
}
