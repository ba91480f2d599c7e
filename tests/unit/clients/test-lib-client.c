// SPDX-License-Identifier: LGPL-2.1-or-later
/* A subscription by libforkbus, with a broker whose replies the test sets. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/allocations.h"
#include "tests/unit/fake-broker.h"
#include "tests/unit/support.h"

static uint64_t clock_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t timeout_of(struct forkbus *client)
{
	uint64_t usec = 1;

	assert_int_equal(forkbus_get_timeout(client, &usec), 0);
	return usec;
}

static bool is_readable(struct forkbus *client)
{
	struct pollfd fd = { .fd = forkbus_get_fd(client), .events = (short)forkbus_get_events(client) };

	assert_int_equal(fd.events, POLLIN);
	return poll(&fd, 1, 0) == 1;
}

/* The library waits until its timeout, and reconnects. */
static void come_back(struct forkbus *client, const char *expected)
{
	uint64_t usec = timeout_of(client);

	/* On a slow machine it has reconnected already. */
	if (usec != FORKBUS_FOREVER) {
		assert_int_not_equal(usec, 0);
		assert_false(is_readable(client));
		assert_int_equal(forkbus_wait(client, FORKBUS_FOREVER), 1);
		assert_true(clock_usec() >= usec);
		assert_nothing(client);
	}
	fake_accept();
	fake_expect(expected);
	assert_int_equal(timeout_of(client), FORKBUS_FOREVER);
}

static void events_come_one_by_one(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	assert_item(client, -ENOTCONN);
	assert_int_equal(forkbus_wait(client, 0), -ENOTCONN);
	assert_null(forkbus_get_cursor(client));
	handle_started(client, SUBSCRIBE);
	assert_int_equal(forkbus_start(client), -EALREADY);
	assert_int_equal(forkbus_add_uid(client, 5), -EBUSY);
	assert_false(is_readable(client));
	assert_int_equal(forkbus_wait(client, 0), 0);
	fake_say(EVENTS(READY(10), 10));
	assert_true(is_readable(client));
	assert_int_equal(forkbus_wait(client, FORKBUS_FOREVER), 1);
	assert_event(client, FORKBUS_TYPE_READY, 0);
	assert_string_equal(forkbus_get_cursor(client), CURSOR(10));
	assert_int_equal(timeout_of(client), 0);
	assert_nothing(client);
	fake_say(EVENTS(FORK(12) "," FORK(15), 20));
	assert_event(client, FORKBUS_TYPE_FORK, 12);
	assert_string_equal(forkbus_get_cursor(client), CURSOR(12));
	/* If the program returns to its loop now, the timeout wakes it. */
	assert_false(is_readable(client));
	assert_int_equal(timeout_of(client), 0);
	assert_int_equal(forkbus_wait(client, FORKBUS_FOREVER), 1);
	assert_event(client, FORKBUS_TYPE_FORK, 15);
	assert_string_equal(forkbus_get_cursor(client), CURSOR(20));
	assert_nothing(client);
	assert_int_equal(timeout_of(client), FORKBUS_FOREVER);
	/* A reply without events moves the cursor, too. */
	fake_say(EVENTS("", 30));
	assert_nothing(client);
	assert_string_equal(forkbus_get_cursor(client), CURSOR(30));
	assert_false(forkbus_uses_ring(client));
	forkbus_free(client);
}

/* The child of a fork may free a handle, and its parent can still use it. */
static void freed_in_a_child(void **state)
{
	struct forkbus *client = handle_open(0);
	int status;
	pid_t child;

	(void)state;
	handle_started(client, SUBSCRIBE);
	assert_nothing(client);
	child = fork();
	if (child == 0) {
		forkbus_free(client);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fake_say(EVENTS(READY(10), 10));
	assert_true(is_readable(client));
	assert_event(client, FORKBUS_TYPE_READY, 0);
	forkbus_free(client);
}

/* A newer broker may send unknown types and keys. */
static void unknown_things_are_skipped(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	handle_started(client, SUBSCRIBE);
	fake_say(EVENTS(READY(1) ",{\"type\":\"quux\",\"seq\":2},{\"type\":\"exit\",\"seq\":3,\"quux\":[1]}",
			4));
	assert_event(client, FORKBUS_TYPE_READY, 0);
	assert_event(client, FORKBUS_TYPE_EXIT, 3);
	assert_nothing(client);
	assert_string_equal(forkbus_get_cursor(client), CURSOR(4));
	forkbus_free(client);
}

static void a_reply_comes_in_pieces(void **state)
{
	static const char text[] = EVENTS(READY(10) "," FORK(11), 11);
	struct forkbus *client = handle_open(0);

	(void)state;
	handle_started(client, SUBSCRIBE);
	for (size_t i = 0; i < sizeof(text); i++) {
		assert_nothing(client);
		fake_say_bytes(text + i, 1);
	}
	assert_event(client, FORKBUS_TYPE_READY, 0);
	assert_event(client, FORKBUS_TYPE_FORK, 11);
	forkbus_free(client);
}

static void without_a_broker(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	fake_stop_listening();
	assert_int_equal(forkbus_start(client), -ECONNREFUSED);
	unlink(test_path("org.forkbus1"));
	assert_int_equal(forkbus_start(client), -ENOENT);
	fake_listen();
	handle_started(client, SUBSCRIBE);
	forkbus_free(client);
}

static void patience(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_PATIENT);
	uint64_t last = 0;

	(void)state;
	fake_stop_listening();
	assert_int_equal(forkbus_start(client), 0);
	assert_item(client, FORKBUS_DISCONNECTED);
	assert_nothing(client);
	/* The time between attempts grows. */
	for (int i = 0; i < 4; i++) {
		uint64_t before = clock_usec(), usec = timeout_of(client);

		assert_true(in_valgrind() || (usec > before && usec - before > last));
		last = (usec - before) / 2;
		assert_int_equal(forkbus_wait(client, FORKBUS_FOREVER), 1);
		assert_nothing(client);
	}
	fake_listen();
	come_back(client, SUBSCRIBE);
	fake_say(EVENTS(READY(1), 1));
	assert_item(client, FORKBUS_RECONNECTED);
	assert_event(client, FORKBUS_TYPE_READY, 0);
	assert_nothing(client);
	forkbus_free(client);
}

#define RESUME(_seq)                                                                                \
	"{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":{},\"since\":\"" CURSOR( \
		_seq) "\"},"                                                                        \
		      "\"more\":true}"

static void it_comes_back_where_it_was(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	handle_started(client, SUBSCRIBE);
	fake_say(EVENTS(READY(10), 10));
	fake_say(EVENTS(FORK(11) "," FORK(12), 14));
	/* The end of this reply is never sent. */
	fake_say_bytes("{\"parameters\":{\"events\":[" FORK(15), 40);
	fake_hang_up();
	assert_event(client, FORKBUS_TYPE_READY, 0);
	assert_event(client, FORKBUS_TYPE_FORK, 11);
	assert_event(client, FORKBUS_TYPE_FORK, 12);
	assert_item(client, FORKBUS_DISCONNECTED);
	assert_nothing(client);
	assert_string_equal(forkbus_get_cursor(client), CURSOR(14));
	come_back(client, RESUME(14));
	assert_nothing(client);
	/* The client does not repeat an event, even if the broker sends it again. */
	fake_say(EVENTS(READY(14) "," FORK(13) "," FORK(14) "," FORK(15), 15));
	assert_item(client, FORKBUS_RECONNECTED);
	assert_event(client, FORKBUS_TYPE_FORK, 15);
	assert_nothing(client);
	/* The broker closes the connection again, before it sends anything. */
	fake_hang_up();
	assert_item(client, FORKBUS_DISCONNECTED);
	assert_nothing(client);
	come_back(client, RESUME(15));
	fake_hang_up();
	assert_nothing(client);
	come_back(client, RESUME(15));
	fake_say("{\"error\":\"org.forkbus1.TooManySubscriptions\",\"parameters\":{\"limit\":\"user\"}}");
	assert_nothing(client);
	come_back(client, RESUME(15));
	/* A loss of only this subscriber moves the cursor to its end. */
	fake_say(EVENTS(
		READY(15) ",{\"type\":\"lost\",\"reason\":\"expired\",\"from\":16,\"to\":20,\"count\":5}",
		20));
	assert_item(client, FORKBUS_RECONNECTED);
	assert_event(client, FORKBUS_TYPE_LOST, 0);
	assert_string_equal(forkbus_get_cursor(client), CURSOR(20));
	forkbus_free(client);
}

/* The machine was rebooted, or the broker has another log: numbers begin again. */
static void another_log(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	handle_started(client, SUBSCRIBE);
	fake_say(EVENTS(READY(10), 10));
	assert_event(client, FORKBUS_TYPE_READY, 0);
	fake_hang_up();
	assert_item(client, FORKBUS_DISCONNECTED);
	assert_nothing(client);
	come_back(client, RESUME(10));
	fake_say("{\"parameters\":{\"events\":[" READY(10) ",{\"type\":\"lost\",\"reason\":\"epoch\"}," FORK(
		1) "],"
		   "\"cursor\":\"fedcba9876543210:2\"},\"continues\":true}");
	assert_item(client, FORKBUS_RECONNECTED);
	assert_event(client, FORKBUS_TYPE_LOST, 0);
	assert_event(client, FORKBUS_TYPE_FORK, 1);
	assert_string_equal(forkbus_get_cursor(client), "fedcba9876543210:2");
	forkbus_free(client);
}

#define PROCESS(_pid) "{\"type\":\"process\",\"pid\":" #_pid ",\"startUsec\":" #_pid "}"

/* An interrupted snapshot is repeated, and followed by all events since the first one. */
static void half_a_snapshot(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	assert_int_equal(forkbus_set_snapshot(client, true), 0);
	handle_started(
		client,
		"{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":{},\"snapshot\":true},"
		"\"more\":true}");
	fake_say(EVENTS(PROCESS(1) "," PROCESS(2), 5));
	assert_event(client, FORKBUS_TYPE_PROCESS, 0);
	assert_event(client, FORKBUS_TYPE_PROCESS, 0);
	assert_null(forkbus_get_cursor(client));
	fake_hang_up();
	assert_item(client, FORKBUS_DISCONNECTED);
	assert_nothing(client);
	come_back(client,
		  "{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":{},\"snapshot\":true,"
		  "\"since\":\"" CURSOR(5) "\"},\"more\":true}");
	fake_say(EVENTS(PROCESS(2) "," READY(5) "," FORK(6), 6));
	assert_item(client, FORKBUS_RECONNECTED);
	assert_event(client, FORKBUS_TYPE_PROCESS, 0);
	assert_event(client, FORKBUS_TYPE_READY, 0);
	assert_string_equal(forkbus_get_cursor(client), CURSOR(5));
	assert_event(client, FORKBUS_TYPE_FORK, 6);
	forkbus_free(client);
}

/* A bare pid means the process that has it at the beginning, also later. */
static void bare_pids(void **state)
{
	static const char subscribe[] =
		"{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":{\"pids\":["
		"{\"pid\":7,\"startUsec\":7},8],\"tree\":{\"pid\":9,\"startUsec\":9}}},"
		"\"more\":true}";
	struct forkbus *client = handle_open(0);

	(void)state;
	assert_int_equal(forkbus_add_pid(client, 7, 0), 0);
	assert_int_equal(forkbus_add_pid(client, 8, 0), 0);
	assert_int_equal(forkbus_set_tree(client, 9, 0), 0);
	handle_started(client, "{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":7}}");
	fake_say("{\"parameters\":{\"process\":" PROCESS(7) "}}");
	assert_nothing(client);
	fake_expect("{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":8}}");
	fake_hang_up();
	assert_item(client, FORKBUS_DISCONNECTED);
	assert_nothing(client);
	come_back(client, "{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":8}}");
	/* The start time is unknown. */
	fake_say("{\"parameters\":{\"process\":{\"type\":\"process\",\"pid\":8}}}");
	assert_nothing(client);
	fake_expect("{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":9}}");
	fake_say("{\"parameters\":{\"process\":" PROCESS(9) "}}");
	assert_nothing(client);
	fake_expect(subscribe);
	fake_hang_up();
	assert_nothing(client);
	come_back(client, subscribe);
	forkbus_free(client);
}

static void refusals(void **state)
{
	static const struct {
		const char *reply;
		int error;
		const char *text;
	} cases[] = {
		{ "{\"error\":\"org.forkbus1.InvalidFilter\",\"parameters\":{\"key\":\"uids\",\"reason\":"
		  "\"no\"}}",
		  -EINVAL, "uids: no" },
		{ "{\"error\":\"org.forkbus1.InvalidFilter\",\"parameters\":{\"reason\":\"no\"}}", -EINVAL,
		  "no" },
		{ "{\"error\":\"org.forkbus1.InvalidCursor\",\"parameters\":{\"reason\":\"of the future\"}}",
		  -ERANGE, "of the future" },
		{ "{\"error\":\"org.forkbus1.CursorExpired\",\"parameters\":{\"first\":\"x\"}}", -ESTALE,
		  NULL },
		{ "{\"error\":\"org.forkbus1.NoSuchProcess\"}", -ESRCH, NULL },
		{ "{\"error\":\"org.forkbus1.TooManySubscriptions\",\"parameters\":{}}", -EUSERS, NULL },
		{ "{\"error\":\"org.forkbus1.OutOfMemory\"}", -ENOBUFS, NULL },
		{ "{\"error\":\"org.varlink.service.PermissionDenied\"}", -EACCES, NULL },
		{ "{\"error\":\"org.varlink.service.InterfaceNotFound\"}", -EOPNOTSUPP, NULL },
		{ "{\"error\":\"org.varlink.service.MethodNotFound\"}", -EOPNOTSUPP, NULL },
		{ "{\"error\":\"org.example.Quux\"}", -EPROTO, "org.example.Quux" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct forkbus *client = handle_open(0);

		handle_started(client, SUBSCRIBE);
		fake_say(cases[i].reply);
		assert_item(client, cases[i].error);
		assert_item(client, cases[i].error);
		assert_int_equal(forkbus_wait(client, FORKBUS_FOREVER), cases[i].error);
		if (cases[i].text)
			assert_string_equal(forkbus_get_error(client), cases[i].text);
		assert_true(strlen(forkbus_get_error(client)) > 0);
		assert_false(is_readable(client));
		assert_int_equal(timeout_of(client), FORKBUS_FOREVER);
		forkbus_free(client);
	}
}

#define OPEN_RING "{\"method\":\"org.forkbus1.OpenRing\",\"parameters\":{}}"

/* If the ring cannot be used, events come by the socket, and the caller sees no difference. */
static void no_ring(void **state)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct forkbus *client = handle_open(FORKBUS_RING);

		if (i == 3) {
			assert_int_equal(forkbus_set_tree(client, 7, 70), 0);
			handle_started(
				client,
				"{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":{\"tree\":"
				"{\"pid\":7,\"startUsec\":70}}},\"more\":true}");
			forkbus_free(client);
			continue;
		}
		handle_started(client, OPEN_RING);
		if (i == 0)
			fake_say("{\"error\":\"org.varlink.service.PermissionDenied\"}");
		else if (i == 1)
			fake_say("{\"error\":\"org.varlink.service.MethodNotFound\"}");
		else
			fake_say_with_fd("{\"parameters\":{\"ring\":0}}", null);
		assert_nothing(client);
		fake_expect(SUBSCRIBE);
		fake_say(EVENTS(READY(1) "," FORK(2), 2));
		assert_event(client, FORKBUS_TYPE_READY, 0);
		assert_false(forkbus_uses_ring(client));
		assert_event(client, FORKBUS_TYPE_FORK, 2);
		forkbus_free(client);
	}
	close(null);
}

static void a_ring_that_does_not_come(void **state)
{
	static const char *const replies[] = { "{\"parameters\":{}}", "{\"parameters\":{\"ring\":0}}",
					       "{\"parameters\":{\"ring\":-1}}",
					       "{\"parameters\":{\"ring\":\"x\"}}" };

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct forkbus *client = handle_open(FORKBUS_RING);

		handle_started(client, OPEN_RING);
		fake_say(replies[i]);
		assert_item(client, -EBADMSG);
		forkbus_free(client);
	}
}

/* --- without memory ----------------------------------------------------------------------------------------------- */

/* Repeat the call after -ENOMEM, as callers must. */
static int process_again(struct forkbus *client, const struct forkbus_event **event)
{
	int r;

	while ((r = forkbus_process(client, event)) == -ENOMEM)
		assert_int_equal(timeout_of(client), 0);
	return r;
}

static void expect_again(struct forkbus *client, int item, uint64_t seq)
{
	const struct forkbus_event *event;
	uint64_t got = 0;

	assert_int_equal(process_again(client, &event), item);
	if (event)
		(void)forkbus_event_get_uint(event, FORKBUS_FIELD_SEQ, &got);
	assert_int_equal(got, seq);
}

/* Run a session in which the Nth allocation of the library fails. Return: whether one failed. */
static bool session(unsigned long nth)
{
	static const char big[] = EVENTS(READY(10) ",{\"seq\":11,\"type\":\"exec\",\"args\":[\"a\",\"b\"],"
						   "\"commRaw\":\"Y2Fm6Q==\"}",
					 11);
	struct forkbus *client = NULL;
	uint64_t usec;
	int r;

	allocations_until_failure = nth;
	while ((r = forkbus_new(&client, test_path("."), 0)) == -ENOMEM)
		;
	assert_int_equal(r, 0);
	while ((r = forkbus_add_type(client, FORKBUS_TYPE_EXEC)) == -ENOMEM)
		;
	while (r == 0 && (r = forkbus_add_pid(client, 7, 70)) == -ENOMEM)
		r = 0;
	while (r == 0 && (r = forkbus_add_glob(client, FORKBUS_FIELD_COMM, "a*")) == -ENOMEM)
		r = 0;
	while ((r = forkbus_set_exits(client, FORKBUS_EXITS_ANY)) == -ENOMEM)
		;
	while ((r = forkbus_set_threads(client, false)) == -ENOMEM)
		;
	while ((r = forkbus_set_since(client, "-5min")) == -ENOMEM)
		;
	while ((r = forkbus_start(client)) == -ENOMEM)
		;
	assert_int_equal(r, 0);
	expect_again(client, FORKBUS_NOTHING, 0);
	fake_accept();
	fake_say(big);
	expect_again(client, FORKBUS_EVENT, 0);
	expect_again(client, FORKBUS_EVENT, 11);
	fake_hang_up();
	expect_again(client, FORKBUS_DISCONNECTED, 0);
	expect_again(client, FORKBUS_NOTHING, 0);
	forkbus_get_timeout(client, &usec);
	while (clock_usec() < usec)
		(void)forkbus_wait(client, 10000);
	expect_again(client, FORKBUS_NOTHING, 0);
	fake_accept();
	fake_say(EVENTS(READY(11) "," FORK(12), 12));
	expect_again(client, FORKBUS_RECONNECTED, 0);
	expect_again(client, FORKBUS_EVENT, 12);
	r = allocations_until_failure == 0;
	allocations_until_failure = 0;
	forkbus_free(client);
	return r;
}

static void sessions_without_memory(void **state)
{
	unsigned long nth = 1;
	long before;

	(void)state;
	if (!allocations_can_fail())
		return;
	session(0);
	before = allocations_held;
	while (session(nth)) {
		assert_true(allocations_held_are(before));
		/* Fail each of the first allocations, and only some of the later ones, which repeat. */
		nth += nth < 150 ? 1 : 7;
	}
	assert_true(nth > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(events_come_one_by_one),
		FAKE_TEST(freed_in_a_child),
		FAKE_TEST(unknown_things_are_skipped),
		FAKE_TEST(a_reply_comes_in_pieces),
		FAKE_TEST(without_a_broker),
		FAKE_TEST(patience),
		FAKE_TEST(it_comes_back_where_it_was),
		FAKE_TEST(another_log),
		FAKE_TEST(half_a_snapshot),
		FAKE_TEST(bare_pids),
		FAKE_TEST(refusals),
		FAKE_TEST(no_ring),
		FAKE_TEST(a_ring_that_does_not_come),
		FAKE_TEST(sessions_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
