// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/ctl/client.h"
#include "clients/ctl/ctl.h"

/* A broker's socket, and what a client that has connected to it asked. */
struct fixture {
	char dir[64];
	int listener, peer;
	char asked[256];
	struct client *client;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	json_t *request = json_pack("{s[i]}", "uids", 5);
	ssize_t got;

	assert_non_null(fixture);
	strcpy(fixture->dir, "/tmp/test-ctl-client-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/stream", fixture->dir);
	fixture->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fixture->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fixture->listener, 1), 0);
	assert_int_equal(client_connect(&fixture->client, fixture->dir, request), 0);
	json_decref(request);
	fixture->peer = accept(fixture->listener, NULL, NULL);
	got = read(fixture->peer, fixture->asked, sizeof(fixture->asked) - 1);
	assert_true(got > 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	client_free(fixture->client);
	close(fixture->peer);
	close(fixture->listener);
	snprintf(path, sizeof(path), "%s/stream", fixture->dir);
	unlink(path);
	rmdir(fixture->dir);
	free(fixture);
	return 0;
}

static void say(const struct fixture *fixture, const char *text)
{
	assert_int_equal(write(fixture->peer, text, strlen(text)), strlen(text));
}

static void assert_line(struct fixture *fixture, const char *expected)
{
	char *line;
	size_t len;

	assert_int_equal(client_line(fixture->client, &line, &len), 0);
	assert_string_equal(line, expected);
	assert_int_equal(len, strlen(expected));
}

static void assert_no_line(struct fixture *fixture)
{
	char *line;
	size_t len;

	assert_int_equal(client_line(fixture->client, &line, &len), CLIENT_E_MORE);
}

static void test_request(void **state)
{
	struct fixture *fixture = *state;

	assert_string_equal(fixture->asked, "{\"uids\":[5]}\n");
}

static void test_lines(void **state)
{
	struct fixture *fixture = *state;

	assert_no_line(fixture);
	say(fixture, "one\ntwo\n\nthr");
	assert_int_equal(client_fill(fixture->client), 0);
	assert_line(fixture, "one");
	assert_line(fixture, "two");
	assert_line(fixture, "");
	assert_no_line(fixture);
	say(fixture, "e");
	assert_int_equal(client_fill(fixture->client), 0);
	assert_no_line(fixture);
	say(fixture, "e\nfour\nrest");
	assert_int_equal(client_fill(fixture->client), 0);
	assert_line(fixture, "three");
	assert_line(fixture, "four");
	assert_no_line(fixture);
	shutdown(fixture->peer, SHUT_WR);
	assert_int_equal(client_fill(fixture->client), CLIENT_E_END);
}

/* Longer than the buffer is at first: it grows, and keeps what it had. */
static void test_long_line(void **state)
{
	struct fixture *fixture = *state;
	size_t size = 300000, sent = 0, len = 0;
	char *text = malloc(size), *line = NULL;
	int r;

	assert_non_null(text);
	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i % 26);
	text[size - 1] = '\n';
	say(fixture, "first\nsec");
	assert_int_equal(client_fill(fixture->client), 0);
	assert_line(fixture, "first");
	do {
		ssize_t n = send(fixture->peer, text + sent, size - sent, MSG_DONTWAIT);

		if (n > 0)
			sent += (size_t)n;
		assert_int_equal(client_fill(fixture->client), 0);
		r = client_line(fixture->client, &line, &len);
	} while (r == CLIENT_E_MORE);
	assert_int_equal(r, 0);
	assert_int_equal(sent, size);
	assert_int_equal(len, 3 + size - 1);
	assert_memory_equal(line, "sec", 3);
	assert_memory_equal(line + 3, text, size - 1);
	free(text);
}

static void test_endless_line(void **state)
{
	static char text[4096];
	struct fixture *fixture = *state;
	char *line;
	size_t len, sent = 0;
	int r;

	memset(text, 'x', sizeof(text));
	do {
		assert_int_equal(write(fixture->peer, text, sizeof(text)), sizeof(text));
		sent += sizeof(text);
		assert_int_equal(client_fill(fixture->client), 0);
		r = client_line(fixture->client, &line, &len);
	} while (r == CLIENT_E_MORE && sent < 2 * CLIENT_LINE_MAX);
	assert_int_equal(r, -EMSGSIZE);
}

static void test_nobody(void **state)
{
	json_t *request = json_object(), *answer = NULL;
	struct client *client = NULL;
	char dir[200];

	(void)state;
	assert_int_equal(client_connect(&client, "/nowhere", request), -ENOENT);
	assert_int_equal(client_query(&answer, "/nowhere", "status"), -ENOENT);
	memset(dir, 'x', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	assert_int_equal(client_connect(&client, dir, request), -ENAMETOOLONG);
	assert_null(client);
	json_decref(request);
}

static void assert_refusal(const char *line, const char *expected, int expected_status)
{
	json_t *object = json_loads(line, 0, NULL);
	int status = CTL_GO_ON;
	char *sentence = client_refusal(object, &status);

	assert_non_null(object);
	if (expected)
		assert_string_equal(sentence, expected);
	else
		assert_null(sentence);
	assert_int_equal(status, expected_status);
	free(sentence);
	json_decref(object);
}

static void test_refusal(void **state)
{
	(void)state;
	assert_refusal("{\"error\":\"invalidRequest\",\"key\":\"types\",\"detail\":\"no such type\"}",
		       "--type: no such type", CTL_USAGE);
	assert_refusal("{\"error\":\"invalidRequest\",\"key\":\"query\",\"detail\":\"no such query\"}",
		       "query: no such query", CTL_USAGE);
	assert_refusal("{\"error\":\"invalidRequest\",\"detail\":\"not JSON\"}",
		       "refused by the broker: not JSON", CTL_USAGE);
	assert_refusal("{\"error\":\"tooManyConnections\",\"detail\":\"too many\"}",
		       "refused by the broker: too many", CTL_FAILURE);
	assert_refusal("{\"error\":\"novel\"}", "refused by the broker: novel", CTL_FAILURE);
	assert_refusal("{\"type\":\"lost\",\"error\":\"x\"}", NULL, CTL_GO_ON);
	assert_refusal("{\"version\":\"0.1.0\"}", NULL, CTL_GO_ON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_line, setup, teardown),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_refusal),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ctl-client", tests, NULL, NULL);
}
