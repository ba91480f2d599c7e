// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/message.h"
#include "event-json.h"
#include "source/source.h"

static char directory[64], path[96], log_path[96];
static struct event_base *base;
static struct hub *hub;
static struct source *source;
static uint64_t seen; /* sequence number up to which a test has read */

static int setup(void **state)
{
	struct log *log;

	(void)state;
	msg_set_level(LOG_ERR - 1);
	strcpy(directory, "/tmp/forkbus-replay-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/recording", directory);
	snprintf(log_path, sizeof(log_path), "%s/log", directory);
	base = event_base_new();
	if (!base || log_open(&log, log_path, 16 << 20, (gid_t)-1) != 0 || hub_new(&hub, log, 1 << 20) != 0)
		return -1;
	seen = log_next(log);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (source)
		source = replay_source.stop(source);
	hub = hub_free(hub);
	event_base_free(base);
	unlink(path);
	unlink(log_path);
	snprintf(log_path, sizeof(log_path), "%s/lock", directory);
	unlink(log_path);
	return rmdir(directory);
}

static void file_write(const char *content)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static void start(double speed)
{
	const struct source_options options = { .replay_file = path, .replay_speed = speed };

	assert_int_equal(replay_source.start(&source, hub, base, &options), 0);
}

static json_int_t described(const char *key)
{
	struct json_builder builder = json_build(json_object());
	json_t *object, *value;
	json_int_t result;

	replay_source.describe(source, &builder);
	object = json_built(&builder);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "file")), path);
	value = json_object_get(object, key);
	assert_non_null(value);
	result = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
	json_decref(object);
	return result;
}

static void run_to_end(void)
{
	while (!described("done"))
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
}

/* The next event that was published, or false. */
static bool next(struct fb_event *event)
{
	struct log_place place;

	if (log_seek(hub_log(hub), seen, &place) != 0)
		return false;
	assert_int_equal(log_read(hub_log(hub), &place, event), 0);
	seen = place.seq;
	return true;
}

static void assert_source(const char *reason)
{
	struct fb_event event;

	assert_true(next(&event));
	assert_int_equal(event.type, EVENT_SOURCE);
	assert_true(event_text_equal(event.source, event_text("replay")));
	assert_true(event_text_equal(event.reason, event_text(reason)));
}

static void test_lines_of_all_kinds(void **state)
{
	struct fb_event event;
	uint64_t first;

	(void)state;
	file_write("{\"type\":\"process\",\"pid\":1,\"startUsec\":5,\"comm\":\"init\"}\n"
		   "{\"type\":\"ready\",\"cursor\":\"0123456789abcdef:7\"}\n"
		   "{\"seq\":7,\"type\":\"fork\",\"bootUsec\":9000000,\"pid\":50,\"startUsec\":9000000,"
		   "\"ppid\":1}\n"
		   "\n"
		   "this is no event\n"
		   "{\"type\":\"heartbeat\",\"cursor\":\"0123456789abcdef:7\"}\n"
		   "{\"seq\":8,\"type\":\"exec\",\"bootUsec\":9000001,\"pid\":50,\"startUsec\":9000000,"
		   "\"exe\":\"/bin/x\"}\r\n"
		   "{\"type\":\"lost\",\"reason\":\"slow\",\"count\":3,\"from\":9,\"to\":11}\n"
		   "{\"type\":\"lost\",\"reason\":\"netlink\",\"count\":4}\n"
		   "{\"type\":\"source\",\"source\":\"connector\",\"reason\":\"it was so\"}\n"
		   "{\"type\":\"exit\",\"pid\":\"fifty\"}\n"
		   "{\"seq\":12,\"type\":\"exit\",\"bootUsec\":9000002,\"pid\":50,\"startUsec\":9000000,"
		   "\"status\":{\"code\":3}}");
	start(0);
	assert_int_equal(described("done"), false);
	assert_source("started");
	assert_null(table_find(hub_table(hub), 1));
	first = seen;
	run_to_end();

	assert_true(next(&event));
	assert_int_equal(event.type, EVENT_FORK);
	assert_int_equal(event.seq, first);
	assert_int_equal(event.boot_usec, 9000000);
	assert_int_equal(event.ppid, 1);
	assert_true(next(&event));
	assert_int_equal(event.type, EVENT_EXEC);
	assert_int_equal(event.seq, first + 1);
	assert_true(event_text_equal(event.exe, event_text("/bin/x")));
	assert_true(next(&event));
	assert_int_equal(event.type, EVENT_LOST);
	assert_true(event_text_equal(event.reason, event_text("netlink")));
	assert_int_equal(event.count, 4);
	assert_false(EVENT_HAS(&event, cursor));
	assert_true(next(&event));
	assert_int_equal(event.type, EVENT_SOURCE);
	assert_true(event_text_equal(event.source, event_text("connector")));
	assert_true(next(&event));
	assert_int_equal(event.type, EVENT_EXIT);
	assert_int_equal(event.code, 3);
	assert_source("end of file");
	assert_false(next(&event));

	assert_int_equal(described("lines"), 12);
	assert_int_equal(described("malformed"), 2);
	assert_non_null(table_find(hub_table(hub), 1));
	assert_null(table_find(hub_table(hub), 50));
	/* Run until the loop has nothing more to do. */
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 1);
}

struct other {
	struct event *event;
	unsigned int turns;
};

static void on_other(evutil_socket_t fd, short what, void *userdata)
{
	const struct timeval now = { 0, 0 };
	struct other *other = userdata;

	(void)fd;
	(void)what;
	other->turns++;
	evtimer_add(other->event, &now);
}

/* Many events are published in order and complete, and other users of the loop get their turns in between. */
static void test_flat(void **state)
{
	enum { N = 20000 };
	static char line[EVENT_JSON_MAX];
	const struct timeval now = { 0, 0 };
	FILE *file = fopen(path, "w");
	struct other other = { 0 };
	struct fb_event event;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		fb_event_init(&event, i % 2 ? EVENT_EXIT : EVENT_FORK);
		EVENT_SET(&event, boot_usec, 3600000000 * (uint64_t)i); /* hours between them */
		EVENT_SET(&event, pid, 100 + i / 2);
		EVENT_SET(&event, comm, event_text("caf\351\n\""));
		fwrite(line, 1, event_json_encode(&event, FIELDS_ALL, line), file);
		fputc('\n', file);
	}
	fclose(file);
	other.event = evtimer_new(base, on_other, &other);
	evtimer_add(other.event, &now);
	start(0);
	assert_source("started");
	run_to_end();
	event_free(other.event);
	assert_in_range(other.turns, N / 1000, UINT_MAX);

	for (uint32_t i = 0; i < N; i++) {
		assert_true(next(&event));
		assert_int_equal(event.type, i % 2 ? EVENT_EXIT : EVENT_FORK);
		assert_int_equal(event.pid, 100 + i / 2);
		assert_true(event_text_equal(event.comm, event_text("caf\351\n\"")));
	}
	assert_source("end of file");
	assert_int_equal(described("lines"), N);
	assert_int_equal(described("malformed"), 0);
}

/* Plays a file. Return: µs that it took. */
static uint64_t play(const char *content, double speed)
{
	uint64_t began;

	file_write(content);
	began = clock_usec(CLOCK_MONOTONIC);
	start(speed);
	run_to_end();
	source = replay_source.stop(source);
	return clock_usec(CLOCK_MONOTONIC) - began;
}

static void test_speed(void **state)
{
	static const char by_boot[] = "{\"type\":\"fork\",\"pid\":1,\"timeUsec\":1,\"bootUsec\":5000000}\n"
				      "{\"type\":\"comm\",\"pid\":1,\"timeUsec\":2,\"bootUsec\":5040000}\n"
				      "{\"type\":\"exit\",\"pid\":1,\"timeUsec\":3,\"bootUsec\":5080000}\n";
	static const char by_time[] = "{\"type\":\"fork\",\"pid\":1,\"timeUsec\":5000000}\n"
				      "{\"type\":\"comm\",\"pid\":1}\n"
				      "{\"type\":\"exit\",\"pid\":1,\"timeUsec\":5060000}\n";

	(void)state;
	assert_in_range(play(by_boot, 1), 80000, UINT64_MAX);
	assert_in_range(play(by_boot, 4), 20000, UINT64_MAX);
	assert_in_range(play(by_boot, 0.5), 160000, UINT64_MAX);
	assert_in_range(play(by_time, 1), 60000, UINT64_MAX);
}

/* Clocks that step back, by little and by a reboot, and gaps of hours that are not reported as such, end nevertheless. */
static void test_clocks(void **state)
{
	static const char content[] =
		"{\"type\":\"comm\",\"pid\":1,\"bootUsec\":90000000000,\"timeUsec\":1000000000000}\n"
		"{\"type\":\"comm\",\"pid\":2,\"bootUsec\":89999990000,\"timeUsec\":1000000000000}\n"
		"{\"type\":\"comm\",\"pid\":3,\"bootUsec\":90000010000,\"timeUsec\":1000000010000}\n"
		"{\"type\":\"comm\",\"pid\":4,\"bootUsec\":5000000,\"timeUsec\":2000000000000}\n"
		"{\"type\":\"comm\",\"pid\":5,\"bootUsec\":5010000,\"timeUsec\":2000000010000}\n"
		"{\"type\":\"comm\",\"pid\":6,\"timeUsec\":2000000020000}\n";
	struct fb_event event;

	(void)state;
	assert_in_range(play(content, 1), 30000, UINT64_MAX);
	assert_source("started");
	for (uint32_t pid = 1; pid <= 6; pid++) {
		assert_true(next(&event));
		assert_int_equal(event.pid, pid);
	}
	assert_source("end of file");
}

/* An event whose time has not come is not published, and stopping at this time leaks nothing. */
static void test_stop_while_waiting(void **state)
{
	struct fb_event event;

	(void)state;
	file_write("{\"type\":\"comm\",\"pid\":1,\"bootUsec\":1000000,\"comm\":\"x\"}\n"
		   "{\"type\":\"comm\",\"pid\":2,\"bootUsec\":9000000000000000,\"comm\":\"y\"}\n");
	start(1);
	assert_source("started");
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	assert_true(next(&event));
	assert_int_equal(event.pid, 1);
	assert_false(next(&event));
	assert_int_equal(described("lines"), 2);
	source = replay_source.stop(source);
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 1);
	assert_null(replay_source.stop(NULL));
}

static void test_fifo(void **state)
{
	static const char line[] = "{\"type\":\"comm\",\"pid\":1}\n";
	struct fb_event event;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	start(0);
	assert_source("started");
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(described("done"), false);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (int half = 0; half < 2; half++) {
		size_t len = half ? sizeof(line) - 1 - 10 : 10;

		assert_int_equal(write(fd, line + (half ? 10 : 0), len), len);
		event_base_loop(base, EVLOOP_ONCE);
		event_base_loop(base, EVLOOP_NONBLOCK);
		assert_int_equal(next(&event), half);
	}
	assert_int_equal(event.pid, 1);
	close(fd);
	run_to_end();
	assert_source("end of file");
}

/* A file whose line never ends does not keep the loop. */
static void test_endless_line(void **state)
{
	(void)state;
	strcpy(path, "/dev/zero");
	start(0);
	assert_source("started");
	for (int i = 0; i < 20; i++)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(described("done"), false);
	assert_int_equal(described("lines"), 0);
	strcpy(path, log_path);
}

/* NUL bytes are no white space: a line of them is malformed, not empty. */
static void test_nul(void **state)
{
	static const char content[] = "\0\n{\"type\":\"comm\",\"pid\":1}\0\n \t\r\n";
	FILE *file = fopen(path, "w");

	(void)state;
	assert_int_equal(fwrite(content, 1, sizeof(content) - 1, file), sizeof(content) - 1);
	fclose(file);
	start(0);
	run_to_end();
	assert_int_equal(described("lines"), 3);
	assert_int_equal(described("malformed"), 2);
}

static void test_no_file(void **state)
{
	const struct source_options options = { .replay_file = path };
	const struct source_options elsewhere = { .replay_file = directory };
	char found[SOURCE_SENTENCE_MAX] = "", advice[SOURCE_SENTENCE_MAX] = "x";
	struct fb_event event;

	(void)state;
	assert_int_equal(replay_source.start(&source, hub, base, &options), -ENOENT);
	assert_int_equal(replay_source.start(&source, hub, base, &elsewhere), -EISDIR);
	assert_null(source);
	assert_false(next(&event));
	assert_true(replay_source.probe(found, advice));
	assert_string_not_equal(found, "");
	assert_string_equal(advice, "");
	replay_source.arm(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines_of_all_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_speed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_while_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fifo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nul, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
