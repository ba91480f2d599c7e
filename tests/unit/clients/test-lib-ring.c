// SPDX-License-Identifier: LGPL-2.1-or-later
/* A subscription by libforkbus, with the ring of a log that the test writes. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/lib/wire.h"
#include "core/log.h"
#include "event-json.h"
#include "log-format.h"
#include "tests/unit/allocations.h"
#include "tests/unit/fake-broker.h"
#include "tests/unit/support.h"

#define SIZE ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)

static struct log *log_of_broker;

static int setup(void **state)
{
	fake_setup(state);
	return log_open(&log_of_broker, test_path("log"), SIZE, (gid_t)-1);
}

static int teardown(void **state)
{
	log_of_broker = log_free(log_of_broker);
	return fake_teardown(state);
}

#define RING_TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

#define OPEN_RING  "{\"method\":\"org.forkbus1.OpenRing\",\"parameters\":{}}"
#define GET_STATUS "{\"method\":\"org.forkbus1.GetStatus\",\"parameters\":{}}"

static void append(enum event_type type, const char *comm)
{
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, time_usec, 1);
	EVENT_SET(&event, boot_usec, 1);
	EVENT_SET(&event, pid, 7);
	EVENT_SET(&event, comm, event_text(comm));
	log_append(log_of_broker, &event);
	log_show(log_of_broker);
}

static uint64_t last(void)
{
	return log_next(log_of_broker) - 1;
}

/* The broker replies with the path of its log. */
static void say_cursor(const char *before, uint64_t epoch, uint64_t seq)
{
	char cursor[CURSOR_TEXT_MAX], text[1024];

	snprintf(text, sizeof(text), "{\"parameters\":{%s\"cursor\":\"%s\"}}", before,
		 cursor_print(cursor, epoch, seq));
	fake_say(text);
}

/* The broker sends the descriptor of its log on the connection. */
static void give_ring(struct forkbus *client, const char *then)
{
	int fd = log_share(log_of_broker);

	fake_say_with_fd("{\"parameters\":{\"ring\":0}}", fd);
	close(fd);
	assert_nothing(client);
	fake_expect(then);
}

static void ring_started(struct forkbus *client)
{
	handle_started(client, OPEN_RING);
	give_ring(client, GET_STATUS);
	say_cursor("", log_epoch(log_of_broker), last());
	assert_event(client, FORKBUS_TYPE_READY, 0);
	assert_true(forkbus_uses_ring(client));
	assert_nothing(client);
}

static void come_back(struct forkbus *client, const char *expected)
{
	uint64_t usec;

	/* On a slow machine it has reconnected already. */
	forkbus_get_timeout(client, &usec);
	if (usec != FORKBUS_FOREVER) {
		assert_int_equal(forkbus_wait(client, FORKBUS_FOREVER), 1);
		assert_nothing(client);
	}
	fake_accept();
	fake_expect(expected);
}

/* The child of a fork may free a handle, and its parent can still use the ring. */
static void freed_in_a_child(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_RING);
	int status;
	pid_t child;

	(void)state;
	ring_started(client);
	child = fork();
	if (child == 0) {
		forkbus_free(client);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	append(EVENT_FORK, "a");
	(void)log_wake(log_of_broker, UINT64_MAX / 2);
	assert_int_equal(forkbus_wait(client, 10000000), 1);
	assert_event(client, FORKBUS_TYPE_FORK, last());
	forkbus_free(client);
}

static void events_by_the_ring(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_RING);
	char cursor[CURSOR_TEXT_MAX];
	uint64_t usec;

	(void)state;
	append(EVENT_FORK, "before");
	assert_int_equal(forkbus_add_type(client, FORKBUS_TYPE_FORK), 0);
	assert_int_equal(forkbus_add_glob(client, FORKBUS_FIELD_COMM, "a*"), 0);
	ring_started(client);
	assert_int_equal(forkbus_wait(client, 0), 0);
	append(EVENT_FORK, "abc");
	append(EVENT_FORK, "b");
	append(EVENT_EXEC, "a");
	append(EVENT_FORK, "ab");
	append(EVENT_FORK, "c");
	(void)log_wake(log_of_broker, UINT64_MAX / 2);
	assert_int_equal(forkbus_wait(client, FORKBUS_FOREVER), 1);
	assert_event(client, FORKBUS_TYPE_FORK, last() - 4);
	/* If the program returns to its loop now, it is woken at once. */
	forkbus_get_timeout(client, &usec);
	assert_int_equal(usec, 0);
	assert_event(client, FORKBUS_TYPE_FORK, last() - 1);
	assert_nothing(client);
	/* The cursor is also after the events that the filter left out. */
	assert_string_equal(forkbus_get_cursor(client),
			    cursor_print(cursor, log_epoch(log_of_broker), last()));
	forkbus_get_timeout(client, &usec);
	assert_true(usec == FORKBUS_FOREVER);
	forkbus_free(client);
}

static void a_broker_that_goes_and_comes(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_RING);
	char cursor[CURSOR_TEXT_MAX], text[300];

	(void)state;
	ring_started(client);
	append(EVENT_FORK, "x");
	fake_hang_up();
	append(EVENT_FORK, "y");
	/* All events of the broker are delivered before its end is reported. */
	assert_event(client, FORKBUS_TYPE_FORK, last() - 1);
	assert_event(client, FORKBUS_TYPE_FORK, last());
	assert_item(client, FORKBUS_DISCONNECTED);
	assert_nothing(client);
	assert_false(forkbus_uses_ring(client));
	append(EVENT_FORK, "z");
	come_back(client, OPEN_RING);
	give_ring(client, GET_STATUS);
	say_cursor("", log_epoch(log_of_broker), last());
	assert_item(client, FORKBUS_RECONNECTED);
	assert_event(client, FORKBUS_TYPE_FORK, last());
	assert_nothing(client);
	fake_hang_up();
	assert_item(client, FORKBUS_DISCONNECTED);
	assert_nothing(client);
	/* If the log is another one, the broker reports a loss. */
	come_back(client, OPEN_RING);
	give_ring(client, GET_STATUS);
	say_cursor("", log_epoch(log_of_broker) ^ 1, 5);
	assert_item(client, FORKBUS_RECONNECTED);
	assert_nothing(client);
	snprintf(text, sizeof(text),
		 "{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":{},\"since\":\"%s\"},"
		 "\"more\":true}",
		 cursor_print(cursor, log_epoch(log_of_broker), last()));
	fake_expect(text);
	assert_false(forkbus_uses_ring(client));
	forkbus_free(client);
}

static void one_that_is_slow(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_RING);
	const struct forkbus_event *event;
	const char *reason;
	uint64_t from, to, first;

	(void)state;
	ring_started(client);
	first = last() + 1;
	while (log_first(log_of_broker) <= first)
		append(EVENT_EXIT, "x");
	assert_int_equal(forkbus_process(client, &event), FORKBUS_EVENT);
	assert_int_equal(forkbus_event_get_type(event), FORKBUS_TYPE_LOST);
	assert_int_equal(forkbus_event_get_text(event, FORKBUS_FIELD_REASON, &reason, NULL), 0);
	assert_int_equal(forkbus_event_get_uint(event, FORKBUS_FIELD_FROM, &from), 0);
	assert_int_equal(forkbus_event_get_uint(event, FORKBUS_FIELD_TO, &to), 0);
	assert_string_equal(reason, "slow");
	assert_int_equal(from, first);
	assert_int_equal(to, log_first(log_of_broker) - 1);
	for (uint64_t seq = to + 1; seq <= last(); seq++)
		assert_event(client, FORKBUS_TYPE_EXIT, seq);
	assert_nothing(client);
	forkbus_free(client);
}

/* Many events that do not match: each call reads only some, and asks to be called again. */
static void many_that_are_left_out(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_RING);
	uint64_t usec;
	int calls = 0;

	(void)state;
	assert_int_equal(forkbus_add_type(client, FORKBUS_TYPE_FORK), 0);
	ring_started(client);
	for (int i = 0; i < 2500; i++)
		append(EVENT_EXIT, "x");
	append(EVENT_FORK, "x");
	(void)log_wake(log_of_broker, UINT64_MAX / 2);
	for (;; calls++) {
		const struct forkbus_event *event;
		int r = forkbus_process(client, &event);

		if (r == FORKBUS_EVENT)
			break;
		assert_int_equal(r, 0);
		forkbus_get_timeout(client, &usec);
		assert_int_equal(usec, 0);
	}
	assert_true(calls > 0 && calls < 10);
	forkbus_free(client);
}

#define LIST "{\"method\":\"org.forkbus1.ListProcesses\",\"parameters\":{\"filter\":{}}}"

static void a_snapshot_before(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_RING);

	(void)state;
	assert_int_equal(forkbus_set_snapshot(client, true), 0);
	handle_started(client, OPEN_RING);
	give_ring(client, LIST);
	append(EVENT_FORK, "one more");
	say_cursor("\"processes\":[{\"type\":\"process\",\"pid\":1},{\"type\":\"process\",\"pid\":2}],",
		   log_epoch(log_of_broker), last() - 1);
	assert_event(client, FORKBUS_TYPE_PROCESS, 0);
	assert_null(forkbus_get_cursor(client));
	assert_event(client, FORKBUS_TYPE_PROCESS, 0);
	assert_event(client, FORKBUS_TYPE_READY, 0);
	assert_event(client, FORKBUS_TYPE_FORK, last());
	assert_nothing(client);
	forkbus_free(client);
}

/* A list of processes that is too long for one message: a snapshot by the socket is used instead. */
static void a_snapshot_too_long(void **state)
{
	static char block[65536];
	struct forkbus *client = handle_open(FORKBUS_RING);

	(void)state;
	memset(block, ' ', sizeof(block));
	assert_int_equal(forkbus_set_snapshot(client, true), 0);
	handle_started(client, OPEN_RING);
	give_ring(client, LIST);
	for (size_t sent = 0; sent <= WIRE_ANSWER_MAX; sent += sizeof(block)) {
		fake_say_bytes(block, sizeof(block));
		assert_nothing(client);
	}
	fake_accept();
	fake_expect("{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":{},\"snapshot\":true},"
		    "\"more\":true}");
	fake_say(EVENTS(READY(1), 1));
	assert_event(client, FORKBUS_TYPE_READY, 0);
	forkbus_free(client);
}

static void things_that_do_not_belong(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_RING);

	(void)state;
	ring_started(client);
	fake_say("{\"parameters\":{}}");
	assert_item(client, -EBADMSG);
	forkbus_free(client);
	client = handle_open(FORKBUS_RING);
	handle_started(client, OPEN_RING);
	give_ring(client, GET_STATUS);
	fake_say("{\"parameters\":{}}");
	assert_item(client, -EBADMSG);
	forkbus_free(client);
}

static void without_memory(void **state)
{
	struct forkbus *client = handle_open(FORKBUS_RING);
	const struct forkbus_event *event;
	char comm[256];
	int failures = 0;

	(void)state;
	ring_started(client);
	for (int i = 0; i < 200; i++) {
		int r;

		snprintf(comm, sizeof(comm), "%0*d", i + 1, 0);
		append(EVENT_FORK, comm);
		allocations_until_failure = 1;
		r = forkbus_process(client, &event);
		allocations_until_failure = 0;
		if (r == -ENOMEM) {
			failures++;
			r = forkbus_process(client, &event);
		}
		assert_int_equal(r, FORKBUS_EVENT);
		assert_nothing(client);
	}
	assert_true(failures > 0 || !allocations_can_fail());
	forkbus_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(events_by_the_ring),	      RING_TEST(a_broker_that_goes_and_comes),
		RING_TEST(one_that_is_slow),	      RING_TEST(many_that_are_left_out),
		RING_TEST(a_snapshot_before),	      RING_TEST(a_snapshot_too_long),
		RING_TEST(things_that_do_not_belong), RING_TEST(without_memory),
		RING_TEST(freed_in_a_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
