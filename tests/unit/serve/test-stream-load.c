// SPDX-License-Identifier: LGPL-2.1-or-later
/* Clients that stop, go away, or are too many */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/message.h"
#include "event-json.h"
#include "tests/unit/allocations.h"
#include "tests/unit/stream-client.h"
#include "tests/unit/support.h"

/* An event with a line of up to 60 KB: a full socket stops in the middle of it. */
static void publish_long(struct random *random)
{
	static char path[EVENT_PATH_MAX];
	struct fb_event event;

	/* Invalid UTF-8 becomes longer. */
	memset(path, 0xff, sizeof(path));
	world_event(&stage.world, &event, EVENT_EXEC, stage.world.living[0]);
	EVENT_SET(&event, exe, ((struct event_text){ path, random_below(random, sizeof(path)) }));
	EVENT_SET(&event, cgroup, ((struct event_text){ path, random_below(random, sizeof(path)) }));
	stage_publish(&stage, &event, stage.world.living[0]);
}

/* The error waits for the end of the line that is on its way, and no line comes after it. */
static void test_error_between_lines(void **state)
{
	struct random random = { 13 };
	struct client client;
	const char *at, *end;
	unsigned int lines = 0;

	(void)state;
	stage_run(&stage, 100, 100);
	for (unsigned int run = 0; run < 20; run++) {
		client_subscribe(&client, "");
		/* More than the socket takes, in lines so long that it stops in the middle of one. */
		for (int i = 0; i < 50; i++)
			publish_long(&random);
		hub_flush(stage.hub);
		turn();
		client_say(&client, "quit\n");
		turn();
		stage_run(&stage, 100, 10);
		exchange(&client);
		assert_true(client.ended);
		for (at = client.subscriber.got; (end = strchr(at, '\n')); at = end + 1) {
			static struct event_store store;
			struct fb_event event;
			int r = event_json_decode(&event, &store, at, (size_t)(end - at));

			assert_int_equal(r, end[1] ? 0 : -EBADMSG);
			lines++;
		}
		assert_int_equal(*at, '\0');
		/* It did not receive everything. */
		assert_true(lines < 50 * (run + 1));
		assert_refused(&client, "unexpectedInput", NULL);
	}
	assert_true(lines > 20);
	assert_nobody();
}

/* A client that often stops reading for a while gets complete lines, and all events that the log has. */
static void test_stops(void **state)
{
	struct random random = { 9 };
	struct client client, other;

	(void)state;
	client_subscribe(&client, "{\"threads\":true}");
	client_subscribe(&other, "{\"types\":\"exit\"}");
	for (int run = 0; run < (in_valgrind() ? 5 : 60); run++) {
		stage_run(&stage, (unsigned int)random_below(&random, 1500), 50);
		publish_long(&random);
		hub_flush(stage.hub);
		turn();
		(void)client_read(&client, random_below(&random, 200000));
		exchange(&other);
		subscriber_check(&other.subscriber);
	}
	exchange(&client);
	subscriber_check(&client.subscriber);
	assert_int_equal(other.subscriber.n_lost, 0);
	assert_int_equal(client.subscriber.n_lost, 0);
	assert_true(client.subscriber.n_events > (in_valgrind() ? 1000 : 10000));
	client_done(&client);
	client_done(&other);
	assert_nobody();
}

/* A client that never reads costs no more than at first, is notified of its loss, and can continue. */
static void test_never_reads(void **state)
{
	const struct views_stats *stats = views_stats(hub_views(stage.hub));
	struct client client, other;
	uint64_t next, encoded, reported;
	long held;

	(void)state;
	client_subscribe(&client, "{\"types\":[\"fork\",\"exec\",\"exit\",\"id\"]}");
	client_subscribe(&other, "");
	stage_run(&stage, 1000, 100);
	exchange(&other);
	subscriber_check(&other.subscriber);
	held = allocations_held;
	next = log_next(hub_log(stage.hub));
	encoded = stats->encoded;
	reported = other.subscriber.n_events;
	while (log_first(hub_log(stage.hub)) <= next) {
		stage_run(&stage, 500, 100);
		exchange(&other);
		subscriber_check(&other.subscriber);
		other.subscriber.size = other.subscriber.checked = 0;
	}
	/* Nothing was encoded for it. */
	assert_int_equal(stats->encoded - encoded, other.subscriber.n_events - reported);
	/* Except for the stage's copies of the events, and the processes. */
	held += (long)(log_next(hub_log(stage.hub)) - next) + 4 * WORLD_LIVING_MAX;
	assert_true(allocations_held < held || !allocations_are_counted());
	exchange(&client);
	subscriber_check(&client.subscriber);
	assert_int_equal(client.subscriber.n_lost, 1);
	assert_string_equal(client.subscriber.lost_reason, "slow");
	assert_int_equal(client.subscriber.lost_to, log_first(hub_log(stage.hub)) - 1);
	exchange(&other);
	subscriber_check(&other.subscriber);
	assert_int_equal(other.subscriber.n_lost, 0);
	client_done(&client);
	client_done(&other);
	assert_nobody();
}

/* Clients that leave at any moment: before the request, during it, with lines on their way, while an error waits */
static void test_gone(void **state)
{
	struct client clients[6], stays;

	(void)state;
	client_subscribe(&stays, "{\"threads\":true}");
	for (int run = 0; run < 3; run++) {
		unsigned int held = count_descriptors();

		for (int i = 0; i < 6; i++)
			client_open(&clients[i]);
		client_say(&clients[1], "{\"typ");
		client_say(&clients[2], "\n");
		client_say(&clients[3], "{\"snapshot\":true}\n");
		client_say(&clients[4], "\n");
		client_say(&clients[5], "\n");
		if (run > 0)
			turn();
		if (run > 1) {
			stage_run(&stage, 3000, 100);
			turn();
			client_say(&clients[5], "x");
			turn();
			(void)client_read(&clients[3], 1000);
		}
		for (int i = 0; i < 6; i++)
			client_done(&clients[i]);
		turn();
		stage_run(&stage, 10, 10);
		exchange(&stays);
		subscriber_check(&stays.subscriber);
		assert_int_equal(stream->ops->stats(stream)->connections, 1);
		assert_int_equal(stream->ops->stats(stream)->subscribers, 1);
		assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 1);
		assert_int_equal(count_descriptors(), held);
	}
	assert_int_equal(stays.subscriber.n_lost, 0);
	client_done(&stays);
	assert_nobody();
}

/* Repeatedly, and afterwards no more memory is used than before. */
static void test_no_leak(void **state)
{
	struct client client;
	unsigned int held = count_descriptors();
	long memory = 0;

	(void)state;
	stage_run(&stage, 100, 100);
	for (int run = 0; run < 60; run++) {
		if (run == 20)
			memory = allocations_held;
		client_subscribe(&client, "{\"snapshot\":true,\"types\":[\"exit\",\"exec\"]}");
		client_done(&client);
		client_open(&client);
		client_say(&client, "{\"types\":[\"no\"]}\n");
		assert_refused(&client, "invalidRequest", "types");
		client_open(&client);
		client_say(&client, "{\"types\":[\"no\"");
		client_done(&client);
		assert_nobody();
	}
	assert_true(allocations_held == memory || !allocations_are_counted());
	assert_int_equal(count_descriptors(), held);
}

/* Out of descriptors: waiting clients are accepted when descriptors are available again. */
static void test_no_descriptors(void **state)
{
	struct rlimit limit, small;
	struct client client;

	(void)state;
	/* It accepts connections beyond the limit, and closes them itself. */
	if (in_valgrind())
		return;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	client_open(&client);
	small = (struct rlimit){ (rlim_t)client.fd + 1, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	msg_set_level(LOG_ERR - 1);
	turn();
	assert_int_equal(stream->ops->stats(stream)->connections, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	client_say(&client, "\n");
	while (stream->ops->stats(stream)->connections == 0)
		event_base_loop(base, EVLOOP_ONCE);
	client_subscribed(&client, "", SEE_ALL);
	client_done(&client);
	assert_nobody();
}

/* The broker ends while they are there. */
static void test_end(void **state)
{
	struct client clients[3];

	(void)state;
	client_subscribe(&clients[0], "");
	client_subscribe(&clients[1], "");
	client_open(&clients[2]);
	stage_run(&stage, 3000, 1000);
	turn();
	stream = stream->ops->free(stream);
	for (int i = 0; i < 3; i++) {
		while (!clients[i].ended)
			(void)client_read(&clients[i], SIZE_MAX);
		client_done(&clients[i]);
	}
	/* An old socket of this name does not prevent this. */
	file_write(test_path("stream"), "", 0);
	assert_int_equal(stream_open(&stream, "."), 0);
	client_subscribe(&clients[0], "");
	client_done(&clients[0]);
	assert_nobody();
}

static void test_bad_names(void **state)
{
	struct face *none = NULL;
	char name[200];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(stream_open(&none, name), -ENAMETOOLONG);
	assert_int_equal(stream_open(&none, "no"), -ENOENT);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(test_error_between_lines),
		STREAM_TEST(test_stops),
		cmocka_unit_test_setup_teardown(test_never_reads, stream_setup_small, stream_teardown),
		STREAM_TEST(test_gone),
		STREAM_TEST(test_no_leak),
		STREAM_TEST(test_no_descriptors),
		STREAM_TEST(test_end),
		STREAM_TEST(test_bad_names),
	};

	return cmocka_run_group_tests_name("stream-load", tests, NULL, NULL);
}
