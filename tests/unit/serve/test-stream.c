// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests of clients, and the answers */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/stream-client.h"
#include "tests/unit/support.h"

static void test_request_forms(void **state)
{
	static const char *const forms[] = { "\n",
					     "{}\n",
					     " \t \n",
					     "\r\n",
					     "{\"types\":[\"exit\"]}\n",
					     "{\"types\":[\"exit\"]}\r\n",
					     "{\"types\":[\"exit\"]}\n\n \t\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		char request[64] = "";
		struct client client;

		memcpy(request, forms[i], strcspn(forms[i], "\r\n"));
		for (int way = 0; way < 4; way++) {
			client_open(&client);
			if (way == 0) {
				client_say(&client, forms[i]);
			} else if (way == 1) {
				for (const char *at = forms[i]; *at; at++) {
					client_send(&client, at, 1);
					turn();
				}
			} else {
				/* Its end is the end of the request, with and without a newline. */
				client_send(&client, forms[i], strlen(forms[i]) - (way == 3));
				assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
			}
			client_subscribed(&client, request, SEE_ALL);
			assert_int_equal(stream->ops->stats(stream)->subscribers, 1);
			stage_run(&stage, 30, 10);
			exchange(&client);
			assert_false(client.ended);
			subscriber_check(&client.subscriber);
			assert_true(client.subscriber.n_events > 0);
			client_done(&client);
			/* After the end of its input, a client that has left is noticed when it is written to. */
			stage_run(&stage, 30, 10);
			turn();
			stage_run(&stage, 30, 10);
			assert_nobody();
		}
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *request, *key;
	} bad[] = {
		{ "{\"tpyes\":[\"exit\"]}\n", "tpyes" },
		{ "{\"types\":\"exitt\"}\n", "types" },
		{ "{\"types\":7}\n", "types" },
		{ "{\"uids\":[\"root\"]}\n", "uids" },
		{ "{\"pids\":[4194000]}\n", "pids" },
		{ "{\"tree\":4194000}\n", "tree" },
		{ "{\"since\":\"yesterday\"}\n", "since" },
		{ "{\"since\":\"0123456789abcdef:99999999\",\"snapshot\":1}\n", "snapshot" },
		{ "{\"comm\":\"[\"}\n", "comm" },
		{ "{\"query\":\"statu\"}\n", "query" },
		{ "exit\n", NULL },
		{ "[]\n", NULL },
		{ "{\n", NULL },
		{ "GET / HTTP/1.1\r\n", NULL },
		{ "\x16\x03\x01\x02\xff\xfe\n", NULL },
		{ "{\"a\xff\":1}\n", NULL },
	};
	char text[100], cursor[CURSOR_TEXT_MAX];
	struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		client_open(&client);
		client_say(&client, bad[i].request);
		assert_refused(&client, "invalidRequest", bad[i].key);
		assert_nobody();
	}
	client_open(&client);
	client_send(&client, "\0\0\0\n", 4);
	assert_refused(&client, "invalidRequest", NULL);
	/* The end of input does not complete half an object. */
	client_open(&client);
	client_say(&client, "{\"types\":");
	assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
	assert_refused(&client, "invalidRequest", NULL);
	/* A future cursor of this log */
	client_open(&client);
	snprintf(text, sizeof(text), "{\"since\":\"%s\"}\n",
		 cursor_print(cursor, log_epoch(hub_log(stage.hub)), 5000));
	client_say(&client, text);
	assert_refused(&client, "invalidRequest", "since");
	assert_nobody();
}

static void test_random_bytes(void **state)
{
	struct random random = { 31 };
	struct client client;
	char data[300];

	(void)state;
	for (int run = 0; run < 500; run++) {
		size_t size = 1 + random_below(&random, sizeof(data));

		for (size_t i = 0; i < size; i++)
			data[i] = random_below(&random, 4) ? (char)random_next(&random)
							   : "{}[]\":,\n"[random_below(&random, 8)];
		client_open(&client);
		client_send(&client, data, size);
		turn();
		(void)client_read(&client, SIZE_MAX);
		if (random_below(&random, 2))
			shutdown(client.fd, SHUT_WR);
		turn();
		(void)client_read(&client, SIZE_MAX);
		/* In all cases the answer has complete lines. */
		assert_true(client.subscriber.size == 0 ||
			    client.subscriber.got[client.subscriber.size - 1] == '\n');
		client_done(&client);
		turn();
	}
	stage_run(&stage, 50, 10);
	assert_nobody();
}

/* A line of exactly the longest length, and of one byte more */
static void test_longest(void **state)
{
	char line[REQUEST_MAX + 3];
	struct client client;

	(void)state;
	memset(line, ' ', sizeof(line));
	memcpy(line + REQUEST_MAX - 2, "{}", 2);
	line[REQUEST_MAX] = '\n';
	client_open(&client);
	client_send(&client, line, REQUEST_MAX + 1);
	client_subscribed(&client, "", SEE_ALL);
	client_done(&client);
	for (int newline = 0; newline < 2; newline++) {
		line[REQUEST_MAX] = 'x';
		line[REQUEST_MAX + 1] = newline ? '\n' : 'x';
		client_open(&client);
		client_send(&client, line, REQUEST_MAX + 2);
		assert_refused(&client, "requestTooLong", NULL);
	}
	/* Without a newline, the input so far is the whole request. */
	memset(line, ' ', sizeof(line));
	client_open(&client);
	client_send(&client, line, REQUEST_MAX);
	assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
	client_subscribed(&client, "", SEE_ALL);
	client_done(&client);
	stage_run(&stage, 30, 10);
	assert_nobody();
}

static void test_ten_megabytes(void **state)
{
	static char text[65536];
	struct client client;
	size_t sent = 0;
	ssize_t n = 0;

	(void)state;
	memset(text, '{', sizeof(text));
	client_open(&client);
	while (sent < 10 << 20) {
		n = send(client.fd, text, sizeof(text), MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN)
			break;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	/* It could not finish. */
	assert_int_equal(n, -1);
	assert_in_range(sent, REQUEST_MAX, 1 << 20);
	assert_refused(&client, "requestTooLong", NULL);
	assert_nobody();
}

static void test_timeout(void **state)
{
	struct client client, subscribed, silent;

	(void)state;
	client_subscribe(&subscribed, "{\"types\":\"exit\"}");
	options.request_usec = 100 * USEC_PER_MSEC;
	stream->ops->set_options(stream, &options);
	client_open(&client);
	client_open(&silent);
	client_say(&client, "{\"types\":");
	turn();
	while (!client.ended || !silent.ended) {
		event_base_loop(base, EVLOOP_ONCE);
		(void)client_read(&client, SIZE_MAX);
		(void)client_read(&silent, SIZE_MAX);
	}
	assert_refused(&client, "requestTimeout", NULL);
	assert_refused(&silent, "requestTimeout", NULL);
	/* After the request there is no time limit. */
	assert_int_equal(stream->ops->stats(stream)->connections, 1);
	exchange(&subscribed);
	assert_false(subscribed.ended);
	client_done(&subscribed);
	assert_nobody();
}

static void test_more_input(void **state)
{
	struct client client;

	(void)state;
	client_open(&client);
	client_say(&client, "{}\n{}\n");
	assert_refused(&client, "unexpectedInput", NULL);

	/* Later white space may come from a user at a terminal. */
	client_subscribe(&client, "");
	client_say(&client, "\n");
	turn();
	client_say(&client, " \t\r\n\v\f\n");
	stage_run(&stage, 20, 20);
	exchange(&client);
	subscriber_check(&client.subscriber);
	assert_true(client.subscriber.n_events > 0);
	assert_false(client.ended);
	client_say(&client, "  quit\n");
	assert_refused(&client, "unexpectedInput", NULL);
	assert_nobody();
}

static void test_quota(void **state)
{
	struct client clients[4], more;

	(void)state;
	budget_set(budget, BUDGET_CONNECTIONS, 4, 3);
	for (int i = 0; i < 4; i++) {
		client_open(&clients[i]);
		turn();
	}
	/* For root only the total limit counts. */
	if (geteuid() != 0) {
		assert_refused(&clients[3], "tooManyConnections", NULL);
		client_open(&clients[3]);
	}
	client_open(&more);
	assert_refused(&more, "tooManyConnections", NULL);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), geteuid() ? 3 : 4);
	client_done(&clients[0]);
	turn();
	client_subscribe(&clients[0], "");
	/* The ends of these are noticed after the new connections. */
	for (int i = 0; i < 4; i++)
		client_done(&clients[i]);
	for (int i = 0; i < (geteuid() ? 3 : 4); i++)
		client_open(&clients[i]);
	for (int i = 0; i < (geteuid() ? 3 : 4); i++) {
		client_say(&clients[i], "\n");
		client_subscribed(&clients[i], "", SEE_ALL);
	}
	client_open(&more);
	assert_refused(&more, "tooManyConnections", NULL);
	for (int i = 0; i < 4; i++)
		client_done(&clients[i]);
	assert_nobody();
}

/* The user of the request decides which events are reported. */
static void test_tenant(void **state)
{
	const struct visibility mine = { .uid = 1001 };
	struct client tenant, full[3];

	(void)state;
	if (geteuid() != 0)
		return;
	budget_set(budget, BUDGET_CONNECTIONS, 100, 2);
	options.group = (gid_t)-1;
	stream->ops->set_options(stream, &options);
	assert_int_equal(seteuid(1001), 0);
	client_open(&tenant);
	for (int i = 0; i < 3; i++)
		client_open(&full[i]);
	assert_int_equal(seteuid(0), 0);
	client_say(&tenant, "{\"snapshot\":true}\n");
	client_subscribed(&tenant, "{\"snapshot\":true}", mine);
	stage_run(&stage, 3000, 100);
	exchange(&tenant);
	subscriber_check(&tenant.subscriber);
	assert_in_range(tenant.subscriber.n_events, 100, 2000);
	assert_refused(&full[1], "tooManyConnections", NULL);
	assert_refused(&full[2], "tooManyConnections", NULL);
	client_done(&full[0]);
	client_done(&tenant);
	assert_nobody();

	/* A member of the group sees all. */
	options.group = 1002;
	stream->ops->set_options(stream, &options);
	assert_int_equal(setegid(1002), 0);
	assert_int_equal(seteuid(1001), 0);
	client_open(&tenant);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	client_say(&tenant, "\n");
	client_subscribed(&tenant, "", SEE_ALL);
	stage_run(&stage, 100, 100);
	exchange(&tenant);
	subscriber_check(&tenant.subscriber);
	client_done(&tenant);
	assert_nobody();
}

static void test_status(void **state)
{
	char long_text[300001];
	struct client client;

	(void)state;
	memset(long_text, 's', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	for (int i = 0; i < 3; i++) {
		const char *texts[] = { "{\"status\":1}", long_text, NULL };

		status_text = texts[i];
		client_open(&client);
		client_say(&client, "{\"query\":\"status\"}\n");
		exchange(&client);
		assert_true(client.ended);
		if (texts[i]) {
			assert_int_equal(client.subscriber.size, strlen(texts[i]) + 1);
			assert_memory_equal(client.subscriber.got, texts[i], strlen(texts[i]));
			assert_int_equal(client.subscriber.got[client.subscriber.size - 1], '\n');
		} else {
			assert_int_equal(client.subscriber.size, 0);
		}
		client_done(&client);
		assert_nobody();
	}
}

/* A client that does not read its last line is not waited for. */
static void test_last_line(void **state)
{
	static char text[1000000];
	struct client client;

	(void)state;
	options.request_usec = 2 * USEC_PER_SEC;
	stream->ops->set_options(stream, &options);
	memset(text, 's', sizeof(text) - 1);
	status_text = text;
	client_open(&client);
	client_say(&client, "{\"query\":\"status\"}\n");
	turn();
	assert_int_equal(stream->ops->stats(stream)->connections, 1);
	while (stream->ops->stats(stream)->connections > 0)
		event_base_loop(base, EVLOOP_ONCE);
	client_done(&client);
	assert_nobody();
}

/* Of 10 ms and more. */
#define HANG_TURNS 6000

static void test_heartbeat(void **state)
{
	struct client client, busy;
	uint64_t began = clock_usec(CLOCK_MONOTONIC);
	unsigned int turns = 0;

	(void)state;
	options.heartbeat_usec = 300 * USEC_PER_MSEC;
	stream->ops->set_options(stream, &options);
	client_subscribe(&client, "{\"types\":\"ptrace\",\"uids\":[4711]}");
	client_subscribe(&busy, "");
	/* As many as it takes: a slow machine publishes few events between two heartbeats. */
	while (client.subscriber.n_heartbeats < 3 || client.subscriber.reported <= 50) {
		struct fb_event event;
		struct world_process *process;

		assert_true(turns++ < HANG_TURNS);
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(10000);
		process = world_next(&stage.world, &event);
		if (process && !fb_event_is_thread(&event)) {
			stage_publish(&stage, &event, process);
			hub_flush(stage.hub);
		}
		(void)client_read(&client, SIZE_MAX);
		(void)client_read(&busy, SIZE_MAX);
		subscriber_check(&client.subscriber);
	}
	assert_true(clock_usec(CLOCK_MONOTONIC) - began >= 900 * USEC_PER_MSEC);
	/* Its position is the end of the log at that time: it has everything that it asked for. */
	assert_int_equal(client.subscriber.n_events, 0);
	exchange(&busy);
	subscriber_check(&busy.subscriber);
	client_done(&client);
	client_done(&busy);
	assert_nobody();
}

/* A half-closed connection stays; if it is then closed completely, this is noticed at the next heartbeat at the latest. */
static void test_half_closed(void **state)
{
	struct client client;

	(void)state;
	options.heartbeat_usec = 200 * USEC_PER_MSEC;
	stream->ops->set_options(stream, &options);
	client_subscribe(&client, "{\"types\":\"ptrace\"}");
	assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
	while (client.subscriber.n_heartbeats < 1) {
		event_base_loop(base, EVLOOP_ONCE);
		(void)client_read(&client, SIZE_MAX);
		subscriber_check(&client.subscriber);
	}
	assert_false(client.ended);
	client_done(&client);
	while (stream->ops->stats(stream)->connections > 0)
		event_base_loop(base, EVLOOP_ONCE);
	assert_nobody();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(test_request_forms), STREAM_TEST(test_refused),
		STREAM_TEST(test_random_bytes),	 STREAM_TEST(test_longest),
		STREAM_TEST(test_ten_megabytes), STREAM_TEST(test_timeout),
		STREAM_TEST(test_more_input),	 STREAM_TEST(test_quota),
		STREAM_TEST(test_tenant),	 STREAM_TEST(test_status),
		STREAM_TEST(test_last_line),	 STREAM_TEST(test_heartbeat),
		STREAM_TEST(test_half_closed),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
