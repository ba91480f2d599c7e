// SPDX-License-Identifier: LGPL-2.1-or-later
/* libforkbus with a peer that is not a broker, or a broken one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/lib/wire.h"
#include "tests/unit/fake-broker.h"
#include "tests/unit/support.h"

/* Invalid replies to Subscribe. */
static const char *const malformed[] = {
	"",
	"x",
	"[]",
	"5",
	"{}",
	"{\"parameters\":[],\"continues\":true}",
	"{\"parameters\":{},\"continues\":true}",
	"{\"parameters\":{\"events\":[]},\"continues\":true}",
	"{\"parameters\":{\"events\":{},\"cursor\":\"0123456789abcdef:1\"},\"continues\":true}",
	"{\"parameters\":{\"events\":[],\"cursor\":\"0123456789abcdef\"},\"continues\":true}",
	"{\"parameters\":{\"events\":[],\"cursor\":\"0123456789abcdef:1\\u0000\"},\"continues\":true}",
	"{\"parameters\":{\"events\":[],\"cursor\":5},\"continues\":true}",
	"{\"parameters\":{\"events\":[],\"cursor\":\"0123456789abcdef:1\"}}",
	"{\"parameters\":{\"events\":[],\"cursor\":\"0123456789abcdef:1\"},\"continues\":1}",
	"{\"parameters\":{\"events\":[],\"events\":[],\"cursor\":\"0123456789abcdef:1\"},\"continues\":true}",
	"{\"error\":5}",
	"{\"error\":\"x\",\"parameters\":5}",
	EVENTS("5", 1),
	EVENTS("{}", 1),
	EVENTS("{\"type\":\"fork\",\"pid\":\"x\"}", 1),
	EVENTS("{\"type\":\"fork\",\"comm\":5}", 1),
	EVENTS("{\"type\":\"fork\",\"commRaw\":\"*\"}", 1),
	EVENTS("{\"type\":\"exit\",\"status\":5}", 1),
};

static void malformed_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct forkbus *client = handle_open(0);

		handle_started(client, SUBSCRIBE);
		fake_say(malformed[i]);
		assert_item(client, -EBADMSG);
		assert_item(client, -EBADMSG);
		assert_true(strlen(forkbus_get_error(client)) > 0);
		forkbus_free(client);
	}
}

/* The same for the reply to GetProcess. */
static void malformed_processes(void **state)
{
	static const char *const replies[] = {
		"{\"parameters\":{}}",
		"{\"parameters\":{\"process\":5}}",
		"{\"parameters\":{\"process\":{\"startUsec\":\"x\"}}}",
		"{\"parameters\":{\"process\":{\"startUsec\":-1}}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct forkbus *client = handle_open(0);

		assert_int_equal(forkbus_add_pid(client, 7, 0), 0);
		handle_started(client, "{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":7}}");
		fake_say(replies[i]);
		assert_item(client, -EBADMSG);
		forkbus_free(client);
	}
}

/* Changing any byte of a reply causes an error or other events, and nothing worse. */
static void changed_replies(void **state)
{
	static const char good[] = EVENTS(READY(10) "," FORK(11), 11);
	const struct forkbus_event *event;
	char text[sizeof(good)];

	(void)state;
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		struct forkbus *client = handle_open(0);
		int r;

		handle_started(client, SUBSCRIBE);
		memcpy(text, good, sizeof(good));
		text[i] = (char)(text[i] ^ (i % 2 ? 1 : 0x80));
		fake_say_bytes(text, sizeof(text));
		while ((r = forkbus_process(client, &event)) > 0)
			assert_true(r == FORKBUS_EVENT || r == FORKBUS_RECONNECTED);
		assert_true(r == 0 || r == -EBADMSG || r == -EPROTO);
		forkbus_free(client);
	}
}

/* A broker that never ends a message: the library stops reading at a limit. */
static void a_message_too_long(void **state)
{
	static char block[65536];
	struct forkbus *client = handle_open(0);
	const struct forkbus_event *event;
	size_t sent = 0;
	int r = 0;

	(void)state;
	memset(block, ' ', sizeof(block));
	handle_started(client, SUBSCRIBE);
	while (r == 0 && sent < 2 * (size_t)WIRE_MESSAGE_MAX) {
		fake_say_bytes(block, sizeof(block));
		sent += sizeof(block);
		r = forkbus_process(client, &event);
	}
	assert_int_equal(r, -EMSGSIZE);
	assert_true(sent > WIRE_MESSAGE_MAX && sent <= WIRE_MESSAGE_MAX + 2 * sizeof(block));
	forkbus_free(client);
}

/* A broker that sends without end: each call of the library returns nevertheless. */
static void empty_replies_without_end(void **state)
{
	struct forkbus *client = handle_open(0);
	uint64_t usec;

	(void)state;
	handle_started(client, SUBSCRIBE);
	for (int i = 0; i < 200; i++)
		fake_say(EVENTS("", 5));
	assert_nothing(client);
	assert_int_equal(forkbus_get_timeout(client, &usec), 0);
	assert_int_equal(usec, 0);
	for (int i = 0; i < 10; i++)
		assert_nothing(client);
	assert_int_equal(forkbus_get_timeout(client, &usec), 0);
	assert_int_equal(usec, FORKBUS_FOREVER);
	forkbus_free(client);
}

/* Unrequested descriptors are closed: the teardown counts the open ones. */
static void unasked_descriptors(void **state)
{
	struct forkbus *client = handle_open(0);

	(void)state;
	handle_started(client, SUBSCRIBE);
	for (int i = 0; i < 20; i++) {
		fake_say_with_fd(EVENTS("", 5), STDIN_FILENO);
		assert_nothing(client);
	}
	forkbus_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(malformed_replies),	      FAKE_TEST(malformed_processes),
		FAKE_TEST(changed_replies),	      FAKE_TEST(a_message_too_long),
		FAKE_TEST(empty_replies_without_end), FAKE_TEST(unasked_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
