// SPDX-License-Identifier: LGPL-2.1-or-later
/* Queries of libforkbus block until the reply: the broker runs in a thread here. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/allocations.h"
#include "tests/unit/fake-broker.h"
#include "tests/unit/support.h"

#define ENOUGH 60000000

static const char *answer; /* NULL: it closes the connection */
static const char *question;
static int answer_fd;
static pthread_t broker;

static void *answer_once(void *userdata)
{
	char byte = 'x';

	fake_accept();
	if (question)
		fake_expect(question);
	while (!question && byte != '\0' && recv(fake.link, &byte, 1, 0) == 1)
		;
	if (answer && answer_fd >= 0)
		fake_say_with_fd(answer, answer_fd);
	/* The client may have closed the connection. */
	else if (answer)
		(void)!send(fake.link, answer, strlen(answer) + 1, MSG_NOSIGNAL);
	fake_hang_up();
	return userdata;
}

/* Set the expected next call, and the reply to it. */
static void expect(const char *asked, const char *answered)
{
	question = asked;
	answer = answered;
	answer_fd = -1;
	assert_int_equal(pthread_create(&broker, NULL, answer_once, NULL), 0);
}

static void answered(void)
{
	assert_int_equal(pthread_join(broker, NULL), 0);
}

#define LIST(_processes, _seq) \
	"{\"parameters\":{\"processes\":[" _processes "],\"cursor\":\"0123456789abcdef:" #_seq "\"}}"
#define PROCESS "{\"type\":\"process\",\"pid\":7,\"startUsec\":70,\"comm\":\"x\"}"
#define STATUS                                                                                               \
	"{\"parameters\":{\"version\":\"1.2.3\",\"cursor\":\"0123456789abcdef:9\",\"source\":{\"name\":"     \
	"\"module\"},"                                                                                       \
	"\"processes\":42,\"events\":{\"fork\":5,\"exit\":6},\"lost\":{\"slow\":{\"times\":1,\"count\":10}," \
	"\"kernel\":{\"times\":2,\"count\":30}}}}"

static void lists(void **state)
{
	struct forkbus *client = handle_open(0);
	const struct forkbus_event *event;
	struct forkbus_list *list;
	uint64_t pid;

	(void)state;
	assert_int_equal(forkbus_add_uid(client, 5), 0);
	expect("{\"method\":\"org.forkbus1.ListProcesses\",\"parameters\":{\"filter\":{\"uids\":[5]}}}",
	       LIST(PROCESS "," PROCESS, 9));
	assert_int_equal(forkbus_list_processes(client, ENOUGH, &list), 0);
	answered();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(forkbus_list_next(list, &event), 1);
		assert_int_equal(forkbus_event_get_type(event), FORKBUS_TYPE_PROCESS);
		assert_int_equal(forkbus_event_get_uint(event, FORKBUS_FIELD_PID, &pid), 0);
		assert_int_equal(pid, 7);
	}
	assert_int_equal(forkbus_list_next(list, &event), 0);
	assert_int_equal(forkbus_list_next(list, &event), 0);
	assert_string_equal(forkbus_list_get_cursor(list), CURSOR(9));
	assert_null(forkbus_list_free(list));
	assert_null(forkbus_list_free(NULL));
	forkbus_free(client);
}

static void malformed_lists(void **state)
{
	static const char *const replies[] = {
		"{}",
		"x",
		"{\"parameters\":{}}",
		"{\"parameters\":{\"processes\":5,\"cursor\":\"0123456789abcdef:9\"}}",
		"{\"parameters\":{\"processes\":[]}}",
		"{\"parameters\":{\"processes\":[],\"cursor\":\"x\"}}",
		"{\"parameters\":{\"processes\":[],\"cursor\":\"0123456789abcdef:9\"},\"continues\":true}",
	};
	static const char *const members[] = { "5", "{\"type\":\"fork\",\"pid\":7}", "{\"type\":\"newer\"}",
					       "{\"type\":\"process\",\"pid\":\"x\"}" };
	struct forkbus *client = handle_open(0);
	const struct forkbus_event *event;
	struct forkbus_list *list = NULL;
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		expect(NULL, replies[i]);
		assert_int_equal(forkbus_list_processes(client, ENOUGH, &list), -EBADMSG);
		answered();
		assert_null(list);
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		snprintf(text, sizeof(text), LIST("%s", 9), members[i]);
		expect(NULL, text);
		assert_int_equal(forkbus_list_processes(client, ENOUGH, &list), 0);
		answered();
		assert_int_equal(forkbus_list_next(list, &event), -EBADMSG);
		list = forkbus_list_free(list);
	}
	forkbus_free(client);
}

static void processes(void **state)
{
	struct forkbus *client = handle_open(0);
	struct forkbus_event *event = NULL;
	const char *comm;

	(void)state;
	expect("{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":7,\"startUsec\":70}}",
	       "{\"parameters\":{\"process\":" PROCESS "}}");
	assert_int_equal(forkbus_get_process(client, 7, 70, ENOUGH, &event), 0);
	answered();
	assert_int_equal(forkbus_event_get_text(event, FORKBUS_FIELD_COMM, &comm, NULL), 0);
	assert_string_equal(comm, "x");
	event = forkbus_event_free(event);
	expect("{\"method\":\"org.forkbus1.GetProcess\",\"parameters\":{\"pid\":7}}",
	       "{\"error\":\"org.forkbus1.NoSuchProcess\"}");
	assert_int_equal(forkbus_get_process(client, 7, 0, ENOUGH, &event), -ESRCH);
	answered();
	assert_non_null(forkbus_get_error(client));
	expect(NULL, "{\"parameters\":{\"process\":{\"type\":\"fork\"}}}");
	assert_int_equal(forkbus_get_process(client, 7, 0, ENOUGH, &event), -EBADMSG);
	answered();
	expect(NULL, "{\"parameters\":{}}");
	assert_int_equal(forkbus_get_process(client, 7, 0, ENOUGH, &event), -EBADMSG);
	answered();
	assert_null(event);
	forkbus_free(client);
}

static void statuses(void **state)
{
	static const char *const malformed[] = {
		"{\"parameters\":{}}",
		"{\"parameters\":{\"version\":\"1\",\"cursor\":\"0123456789abcdef:9\"}}",
		"{\"parameters\":{\"version\":\"1\",\"source\":{\"name\":\"x\"}}}",
		"{\"parameters\":{\"version\":1,\"cursor\":\"0123456789abcdef:9\",\"source\":{\"name\":\"x\"}"
		"}}",
		"{\"parameters\":{\"version\":\"1\",\"cursor\":\"0123456789abcdef:9\",\"source\":5}}",
	};
	struct forkbus *client = handle_open(0);
	struct forkbus_status *status = NULL;
	uint64_t times, count;

	(void)state;
	expect("{\"method\":\"org.forkbus1.GetStatus\",\"parameters\":{}}", STATUS);
	assert_int_equal(forkbus_get_status(client, ENOUGH, &status), 0);
	answered();
	assert_string_equal(forkbus_status_get_version(status), "1.2.3");
	assert_string_equal(forkbus_status_get_cursor(status), CURSOR(9));
	assert_string_equal(forkbus_status_get_source(status), "module");
	assert_int_equal(forkbus_status_get_processes(status), 42);
	assert_int_equal(forkbus_status_get_events(status, FORKBUS_TYPE_FORK), 5);
	assert_int_equal(forkbus_status_get_events(status, FORKBUS_TYPE_EXIT), 6);
	assert_int_equal(forkbus_status_get_events(status, FORKBUS_TYPE_ID), 0);
	assert_int_equal(forkbus_status_get_events(status, 99), 0);
	forkbus_status_get_lost(status, "slow", &times, &count);
	assert_int_equal(times, 1);
	assert_int_equal(count, 10);
	forkbus_status_get_lost(status, NULL, &times, &count);
	assert_int_equal(times, 3);
	assert_int_equal(count, 40);
	forkbus_status_get_lost(status, "quux", &times, &count);
	assert_int_equal(times + count, 0);
	forkbus_status_get_lost(status, NULL, NULL, NULL);
	assert_non_null(strstr(forkbus_status_get_json(status), "\"processes\":42"));
	status = forkbus_status_free(status);
	assert_null(forkbus_status_free(NULL));
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		expect(NULL, malformed[i]);
		assert_int_equal(forkbus_get_status(client, ENOUGH, &status), -EBADMSG);
		answered();
		assert_null(status);
	}
	forkbus_free(client);
}

static void rings(void **state)
{
	struct forkbus *client = handle_open(0);
	int ends[2], fd = -1;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	question = "{\"method\":\"org.forkbus1.OpenRing\",\"parameters\":{}}";
	answer = "{\"parameters\":{\"ring\":0}}";
	answer_fd = ends[0];
	assert_int_equal(pthread_create(&broker, NULL, answer_once, NULL), 0);
	assert_int_equal(forkbus_open_ring(client, ENOUGH, &fd), 0);
	answered();
	assert_true(fd >= 0 && fd != ends[0]);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	fd = -1;
	expect(NULL, "{\"parameters\":{\"ring\":0}}");
	assert_int_equal(forkbus_open_ring(client, ENOUGH, &fd), -EBADMSG);
	answered();
	expect(NULL, "{\"parameters\":{\"ring\":\"x\"}}");
	assert_int_equal(forkbus_open_ring(client, ENOUGH, &fd), -EBADMSG);
	answered();
	expect(NULL, "{\"error\":\"org.varlink.service.PermissionDenied\"}");
	assert_int_equal(forkbus_open_ring(client, ENOUGH, &fd), -EACCES);
	answered();
	assert_int_equal(fd, -1);
	forkbus_free(client);
}

static void no_answer(void **state)
{
	struct forkbus *client = handle_open(0), *others[32];
	struct forkbus_status *status = NULL;
	size_t n = 0;

	(void)state;
	/* No broker accepts the connection. */
	assert_int_equal(forkbus_get_status(client, 0, &status), -ETIMEDOUT);
	assert_int_equal(forkbus_get_status(client, 20000, &status), -ETIMEDOUT);
	fake_stop_listening();
	fake_listen();
	expect(NULL, NULL);
	assert_int_equal(forkbus_get_status(client, FORKBUS_FOREVER, &status), -ECONNRESET);
	answered();
	/* The queue of connections is full: a subscription waits until there is room. */
	do {
		others[n] = handle_open(0);
		assert_int_equal(forkbus_start(others[n]), 0);
	} while (n++ < 16);
	assert_item(others[n - 1], FORKBUS_DISCONNECTED);
	assert_int_equal(forkbus_get_status(client, 30000, &status), -ETIMEDOUT);
	while (n > 0)
		forkbus_free(others[--n]);
	fake_stop_listening();
	assert_int_equal(forkbus_get_status(client, ENOUGH, &status), -ECONNREFUSED);
	assert_null(status);
	forkbus_free(client);
}

/* Make all queries with the Nth allocation failing, for each N until none fails. */
static void questions_without_memory(void **state)
{
	struct forkbus *client = handle_open(0);
	const struct forkbus_event *process;
	struct forkbus_status *status;
	struct forkbus_event *event;
	struct forkbus_list *list;
	unsigned int failures = 0;

	(void)state;
	for (int kind = 0; kind < 3 && allocations_can_fail(); kind++) {
		bool failed = true;

		for (unsigned long nth = 1; failed; nth++) {
			static const char *const answers[] = { LIST(PROCESS, 9),
							       "{\"parameters\":{\"process\":" PROCESS "}}",
							       STATUS };
			int r;

			expect(NULL, answers[kind]);
			/* Only allocations of the thread were left. */
			allocations_until_failure = nth;
			r = kind == 0	? forkbus_list_processes(client, ENOUGH, &list)
			    : kind == 1 ? forkbus_get_process(client, 7, 70, ENOUGH, &event)
					: forkbus_get_status(client, ENOUGH, &status);
			failed = allocations_until_failure == 0;
			allocations_until_failure = 0;
			failures += r == -ENOMEM;
			if (r != 0 && r != -ENOMEM)
				fail_msg("kind %d, allocation %lu: %d", kind, nth, r);
			/* There may not even be a connection. */
			if (r == -ENOMEM) {
				struct forkbus_status *ignored = NULL;

				(void)forkbus_get_status(client, 0, &ignored);
				forkbus_status_free(ignored);
			}
			answered();
			fake_stop_listening();
			fake_listen();
			if (r == 0 && kind == 0) {
				assert_int_equal(forkbus_list_next(list, &process), 1);
				forkbus_list_free(list);
			} else if (r == 0 && kind == 1) {
				forkbus_event_free(event);
			} else if (r == 0) {
				forkbus_status_free(status);
			}
		}
	}
	assert_true(failures > 50 || !allocations_can_fail());
	forkbus_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(lists),
		FAKE_TEST(malformed_lists),
		FAKE_TEST(processes),
		FAKE_TEST(statuses),
		FAKE_TEST(rings),
		FAKE_TEST(no_answer),
		FAKE_TEST(questions_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
