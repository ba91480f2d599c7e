// SPDX-License-Identifier: LGPL-2.1-or-later
/* The Varlink face: failed allocations, small socket buffers, descriptors that wait with their replies */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/face.h"
#include "tests/unit/allocations.h"
#include "tests/unit/stream-client.h"
#include "tests/unit/support.h"

#define SERVICE "org.varlink.service."
#define FORKBUS "org.forkbus1."

#define CALL(_method)			"{\"method\":\"" _method "\"}"
#define CALL_WITH(_method, _parameters) "{\"method\":\"" _method "\",\"parameters\":" _parameters "}"
#define SUBSCRIBE(_parameters) \
	"{\"method\":\"" FORKBUS "Subscribe\",\"more\":true,\"parameters\":" _parameters "}"

static struct face *varlink;

static int setup(void **state)
{
	struct face_context context;

	stream_setup(state);
	status_text = "{\"version\":\"1\"}";
	fill_context(&context, test_path("."));
	assert_int_equal(varlink_face.new(&varlink, &context), 0);
	return 0;
}

static int teardown(void **state)
{
	assert_null(varlink->ops->free(varlink));
	assert_int_equal(access(test_path("org.forkbus1"), F_OK), -1);
	return stream_teardown(state);
}

static void connect_to_varlink(struct client *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*client = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
	assert_true(client->fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_path("org.forkbus1"));
	assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* With its NUL */
static void call(struct client *client, const char *text)
{
	client_send(client, text, strlen(text) + 1);
}

static void assert_no_links(void)
{
	turn();
	assert_int_equal(varlink->ops->stats(varlink)->connections, 0);
	assert_int_equal(varlink->ops->stats(varlink)->subscribers, 0);
	assert_int_equal(views_stats(hub_views(stage.hub))->views, 0);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 0);
}

/* Return: the reply that begins there, whole or not at all; NULL: there is none. */
static json_t *reply_at(const struct client *client, size_t *at)
{
	const struct subscriber *got = &client->subscriber;
	json_error_t error;
	json_t *reply;

	if (*at == got->size)
		return NULL;
	assert_non_null(memchr(got->got + *at, '\0', got->size - *at));
	reply = json_loads(got->got + *at, JSON_REJECT_DUPLICATES, &error);
	if (!reply)
		fail_msg("%s: %s", error.text, got->got + *at);
	*at += strlen(got->got + *at) + 1;
	return reply;
}

/* Without memory */

static const struct {
	const char *text;
	const char *error; /* NULL: none */
	unsigned int members;
	bool oneway;
} asked[] = {
	{ CALL(SERVICE "GetInfo"), NULL, 5, false },
	{ CALL_WITH(SERVICE "GetInterfaceDescription", "{\"interface\":\"org.forkbus1\"}"), NULL, 1, false },
	{ CALL_WITH(SERVICE "GetInterfaceDescription", "{\"interface\":\"org.example\"}"),
	  SERVICE "InterfaceNotFound", 1, false },
	{ CALL_WITH(SERVICE "GetInterfaceDescription", "{}"), SERVICE "InvalidParameter", 1, false },
	{ CALL(FORKBUS "Nothing"), SERVICE "MethodNotFound", 1, false },
	{ CALL("org.example.Nothing"), SERVICE "InterfaceNotFound", 1, false },
	{ CALL(FORKBUS "GetStatus"), NULL, 1, false },
	{ CALL(FORKBUS "OpenRing"), NULL, 1, false },
	{ CALL_WITH(FORKBUS "GetProcess", "{\"pid\":4194303}"), FORKBUS "NoSuchProcess", 0, false },
	{ CALL(FORKBUS "ListProcesses"), NULL, 2, false },
	{ CALL_WITH(FORKBUS "ListProcesses", "{\"filter\":{\"comm\":\"a*\",\"uids\":[1,2]}}"), NULL, 2,
	  false },
	{ CALL_WITH(FORKBUS "ListProcesses", "{\"filter\":{\"uids\":[]}}"), FORKBUS "InvalidFilter", 2,
	  false },
	{ CALL(FORKBUS "Subscribe"), SERVICE "ExpectedMore", 0, false },
	{ SUBSCRIBE("{}"), NULL, 2, false },
	{ SUBSCRIBE("{\"snapshot\":true,\"filter\":{\"exe\":\"/*\"}}"), NULL, 2, false },
	{ SUBSCRIBE("{\"since\":\"x\"}"), FORKBUS "InvalidCursor", 1, false },
	{ SUBSCRIBE("{\"since\":\"0123456789abcdef:1\",\"complete\":true}"), FORKBUS "CursorExpired", 1,
	  false },
	{ "{\"method\":\"" SERVICE "GetInfo\",\"oneway\":true}", NULL, 0, true },
	{ "{\"method\":\"" FORKBUS "GetStatus\",\"upgrade\":true}", SERVICE "MethodNotImplemented", 1,
	  false },
};

/*
 * A whole answer, as it has to be; or, where something failed, the end, or an error. It may be any one: the parser leaves out a
 * byte where it cannot make room for it, and the call is another.
 */
static void check_answer(const struct client *client, size_t i, bool failed)
{
	size_t at = 0;
	json_t *reply = reply_at(client, &at);
	const char *error;

	if (!reply) {
		if (client->ended ? !failed : !asked[i].oneway)
			fail_msg("no answer: %s", asked[i].text);
		return;
	}
	assert_false(asked[i].oneway);
	error = json_string_value(json_object_get(reply, "error"));
	/* The expected reply is complete. */
	if (!error || !failed || (asked[i].error && strcmp(error, asked[i].error) == 0)) {
		assert_int_equal(error == NULL, asked[i].error == NULL);
		if (error)
			assert_string_equal(error, asked[i].error);
		assert_int_equal(json_object_size(json_object_get(reply, "parameters")), asked[i].members);
	}
	json_decref(reply);
	/* A subscription may continue, with complete replies. */
	while ((reply = reply_at(client, &at)))
		json_decref(reply);
}

/* Return: whether the n-th allocation was made, and failed. */
static bool ask_without_memory(size_t i, unsigned long n)
{
	struct client client;
	bool failed;

	connect_to_varlink(&client);
	turn();
	call(&client, asked[i].text);
	allocations_until_failure = n;
	turn();
	failed = allocations_until_failure == 0;
	allocations_until_failure = 0;
	exchange(&client);
	check_answer(&client, i, failed);
	client_done(&client);
	assert_no_links();
	return failed;
}

static void test_no_memory(void **state)
{
	(void)state;
	if (!allocations_can_fail())
		return;
	stage_run(&stage, 300, 100);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		unsigned long n = 1;
		long held;

		/* Objects that are kept for the next time are made now. */
		allocations_until_failure = 0;
		assert_false(ask_without_memory(i, 1000000));
		held = allocations_held;
		while (ask_without_memory(i, n))
			n++;
		/* At least the call was read. */
		assert_true(n > 3);
		if (allocations_held != held)
			fail_msg("%s: %ld are held", asked[i].text, allocations_held - held);
	}
}

/* The connection itself: refused, or taken and good. */
static void test_no_memory_for_connection(void **state)
{
	struct client client;
	bool failed = true;

	(void)state;
	if (!allocations_can_fail())
		return;
	assert_false(ask_without_memory(0, 1000000));
	for (unsigned long n = 1; failed; n++) {
		connect_to_varlink(&client);
		allocations_until_failure = n;
		turn();
		failed = allocations_until_failure == 0;
		allocations_until_failure = 0;
		if (send(client.fd, asked[0].text, strlen(asked[0].text) + 1, MSG_NOSIGNAL) > 0) {
			exchange(&client);
			if (!client.ended)
				check_answer(&client, 0, failed);
		}
		client_done(&client);
		assert_no_links();
	}
}

/* Little by little */

/* Something happens whose line is up to 60 KB long. */
static void publish_long(struct random *random)
{
	static char path[EVENT_PATH_MAX];
	struct fb_event event;

	memset(path, 0xff, sizeof(path));
	world_event(&stage.world, &event, EVENT_EXEC, stage.world.living[0]);
	EVENT_SET(&event, exe, ((struct event_text){ path, random_below(random, sizeof(path)) }));
	EVENT_SET(&event, cgroup, ((struct event_text){ path, random_below(random, sizeof(path)) }));
	stage_publish(&stage, &event, stage.world.living[0]);
}

/* The members of an array of objects as lines of their own, byte by byte. Return: what is behind them. */
static const char *put_lines(struct subscriber *to, const char *at)
{
	unsigned int depth = 0;
	bool quoted = false;

	for (; depth > 0 || quoted || *at != ']'; at++) {
		assert_true(*at != '\0' && *at != '\n');
		/* Between one and the next is a comma, and the end of the line. */
		if (depth == 0 && *at == ',')
			assert_int_equal(*++at, '\n');
		to->got[to->size++] = *at;
		if (quoted && *at == '\\')
			to->got[to->size++] = *++at;
		else if (*at == '"')
			quoted = !quoted;
		else if (!quoted && (*at == '{' || *at == '}'))
			depth += *at == '{' ? 1u : -1u;
	}
	to->got[to->size++] = '\n';
	return at;
}

/* The cursor of a reply is after all events so far, and before the next one. */
static void check_cursor(struct subscriber *lines, size_t from, uint64_t *reported, const char *cursor)
{
	uint64_t seq = strtoull(strchr(cursor, ':') + 1, NULL, 10);

	lines->got[lines->size] = '\0';
	for (const char *at = lines->got + from; (at = strstr(at, "\"seq\":")); at++) {
		uint64_t number = strtoull(at + strlen("\"seq\":"), NULL, 10);

		assert_true(number > *reported && number <= seq);
	}
	*reported = seq;
}

/* The content of the replies, as lines of the stream. */
static void check_events(struct client *client)
{
	static const char begin[] = "{\"parameters\":{\"events\":[", end[] = "],\"cursor\":\"";
	struct subscriber lines = client->subscriber;
	const char *at = client->subscriber.got;
	uint64_t reported = 0;

	lines.got = malloc(client->subscriber.size + 1);
	lines.size = lines.checked = 0;
	while (at < client->subscriber.got + client->subscriber.size) {
		size_t from = lines.size;

		assert_memory_equal(at, begin, strlen(begin));
		at = put_lines(&lines, at + strlen(begin));
		assert_memory_equal(at, end, strlen(end));
		check_cursor(&lines, from, &reported, at + strlen(end));
		at += strlen(end) + strcspn(at + strlen(end), "\"");
		assert_string_equal(at, "\"},\"continues\":true}");
		at += strlen(at) + 1;
	}
	subscriber_check(&lines);
	free(lines.got);
	lines.got = client->subscriber.got;
	lines.size = lines.checked = 0;
	client->subscriber = lines;
}

static void test_events_in_parts(void **state)
{
	struct random random = { 21 };
	struct request request;
	struct filter_error error;
	struct client client;
	int size = 1;

	(void)state;
	connect_to_varlink(&client);
	(void)setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	call(&client, SUBSCRIBE("{\"filter\":{\"threads\":true}}"));
	turn();
	assert_int_equal(request_parse(&request, "{\"threads\":true}", 16, &error), 0);
	client.subscriber.stage = &stage;
	client.subscriber.visibility = SEE_ALL;
	client.subscriber.filter = request.filter;
	client.subscriber.begin = client.subscriber.next = log_next(hub_log(stage.hub));
	for (int run = 0; run < (in_valgrind() ? 5 : 60); run++) {
		stage_run(&stage, (unsigned int)random_below(&random, 1500), 50);
		publish_long(&random);
		hub_flush(stage.hub);
		for (int i = 0; i < 4; i++) {
			turn();
			(void)client_read(&client, random_below(&random, 150000));
		}
	}
	exchange(&client);
	assert_false(client.ended);
	check_events(&client);
	assert_int_equal(client.subscriber.n_lost, 0);
	assert_true(client.subscriber.n_events > (in_valgrind() ? 1000 : 10000));
	client_done(&client);
	stage_run(&stage, 50, 10);
	assert_no_links();
}

/* The list is of one moment, however long it takes to send it. */
static void test_list_in_parts(void **state)
{
	struct client client;
	json_t *reply;
	size_t at = 0, expected = 0, slot = 0;

	(void)state;
	stage_run(&stage, 3000, 100);
	while (table_walk(hub_table(stage.hub), &slot))
		expected++;
	connect_to_varlink(&client);
	call(&client, CALL(FORKBUS "ListProcesses"));
	call(&client, CALL(FORKBUS "GetStatus"));
	/* A byte, then little by little. */
	for (size_t piece = 1; piece < 300; piece++) {
		turn();
		(void)client_read(&client, piece);
	}
	exchange(&client);
	reply = reply_at(&client, &at);
	assert_int_equal(json_array_size(json_object_get(json_object_get(reply, "parameters"), "processes")),
			 expected);
	json_decref(reply);
	reply = reply_at(&client, &at);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(reply, "parameters"), "version")), "1");
	json_decref(reply);
	assert_null(reply_at(&client, &at));
	client_done(&client);
	assert_no_links();
}

/* Descriptors */

/* Read at most @size bytes. Return: a descriptor that came with them, -1 if none did. */
static int receive(struct client *client, size_t size)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control;
	static char data[65536];
	struct iovec part = { data, size < sizeof(data) ? size : sizeof(data) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	int fd = -1;

	if (recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC) > 0 && message.msg_controllen > 0) {
		assert_int_equal(control.header.cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	}
	return fd;
}

/* A reply that has to wait for room takes its descriptor along, once. */
static void test_ring_waits(void **state)
{
	struct stat theirs, log;
	struct client client;
	unsigned int descriptors = 0;
	int calls = 0, fd;

	(void)state;
	connect_to_varlink(&client);
	for (; calls < 40; calls++)
		call(&client, asked[1].text);
	call(&client, CALL(FORKBUS "OpenRing"));
	call(&client, CALL(SERVICE "GetInfo"));
	turn();
	for (int turns = 0; turns < 20000; turns++) {
		fd = receive(&client, 997);
		turn();
		if (fd < 0)
			continue;
		descriptors++;
		assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		assert_int_equal(fstat(fd, &theirs), 0);
		assert_int_equal(stat(test_path("log"), &log), 0);
		assert_true(theirs.st_dev == log.st_dev && theirs.st_ino == log.st_ino);
		close(fd);
	}
	assert_int_equal(descriptors, 1);
	client_done(&client);

	/* A client that leaves before it is sent leaks nothing; the teardown checks this. */
	connect_to_varlink(&client);
	for (calls = 0; calls < 40; calls++)
		call(&client, asked[1].text);
	call(&client, CALL(FORKBUS "OpenRing"));
	turn();
	client_done(&client);
	assert_no_links();
}

#define VARLINK_TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		VARLINK_TEST(test_no_memory),	    VARLINK_TEST(test_no_memory_for_connection),
		VARLINK_TEST(test_events_in_parts), VARLINK_TEST(test_list_in_parts),
		VARLINK_TEST(test_ring_waits),
	};

	return cmocka_run_group_tests_name("varlink", tests, NULL, NULL);
}
