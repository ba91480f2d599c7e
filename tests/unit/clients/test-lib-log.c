// SPDX-License-Identifier: LGPL-2.1-or-later
/* libforkbus reads a log without its broker. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/lib/forkbus.h"
#include "core/log.h"
#include "event-json.h"
#include "log-format.h"
#include "tests/unit/allocations.h"
#include "tests/unit/support.h"

#define SIZE ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)

static struct log *written;
static struct forkbus *client;
static unsigned int descriptors;

static int setup(void **state)
{
	(void)state;
	descriptors = count_descriptors();
	test_dir_make();
	if (log_open(&written, test_path("log"), SIZE, (gid_t)-1) < 0)
		return -1;
	return forkbus_new(&client, NULL, 0);
}

static int teardown(void **state)
{
	client = forkbus_free(client);
	written = log_free(written);
	test_dir_remove();
	assert_int_equal(count_descriptors(), descriptors);
	(void)state;
	return 0;
}

#define LOG_TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

static uint64_t append(enum event_type type, uint64_t time_usec, const char *comm)
{
	struct fb_event event;
	uint64_t seq;

	fb_event_init(&event, type);
	EVENT_SET(&event, time_usec, time_usec);
	EVENT_SET(&event, pid, 7);
	EVENT_SET(&event, comm, event_text(comm));
	seq = log_append(written, &event);
	log_show(written);
	return seq;
}

static int try_to_read(struct forkbus_log **ret)
{
	int fd = open(test_path("log"), O_RDONLY | O_CLOEXEC);
	int r;

	assert_true(fd >= 0);
	r = forkbus_read_log(client, fd, ret);
	close(fd);
	return r;
}

static struct forkbus_log *read_log(void)
{
	struct forkbus_log *log = NULL;

	assert_int_equal(try_to_read(&log), 0);
	return log;
}

static void assert_next(struct forkbus_log *log, enum forkbus_type type, uint64_t seq)
{
	const struct forkbus_event *event;
	char cursor[CURSOR_TEXT_MAX];
	uint64_t got = 0;

	assert_int_equal(forkbus_log_next(log, &event), 1);
	assert_int_equal(forkbus_event_get_type(event), type);
	assert_int_equal(forkbus_event_get_uint(event, FORKBUS_FIELD_SEQ, &got), 0);
	assert_int_equal(got, seq);
	assert_string_equal(forkbus_log_get_cursor(log), cursor_print(cursor, log_epoch(written), seq));
}

static void assert_end(struct forkbus_log *log)
{
	const struct forkbus_event *event;

	assert_int_equal(forkbus_log_next(log, &event), 0);
}

static void all_events(void **state)
{
	uint64_t first = append(EVENT_FORK, 1, "a");
	struct forkbus_log *log;

	(void)state;
	append(EVENT_EXIT, 2, "b");
	log = read_log();
	assert_next(log, FORKBUS_TYPE_FORK, first);
	assert_next(log, FORKBUS_TYPE_EXIT, first + 1);
	assert_end(log);
	/* The writer continues. */
	append(EVENT_EXEC, 3, "c");
	assert_next(log, FORKBUS_TYPE_EXEC, first + 2);
	assert_end(log);
	assert_null(forkbus_log_free(log));
	assert_null(forkbus_log_free(NULL));
}

static void those_that_match(void **state)
{
	uint64_t first = append(EVENT_FORK, 1, "a");
	struct forkbus_log *log;

	(void)state;
	append(EVENT_EXIT, 2, "b");
	append(EVENT_FORK, 3, "b");
	assert_int_equal(forkbus_set_filter(client, "{\"types\":\"fork\",\"comm\":\"b\"}"), 0);
	log = read_log();
	assert_next(log, FORKBUS_TYPE_FORK, first + 2);
	assert_end(log);
	forkbus_log_free(log);
}

static void those_since_a_cursor(void **state)
{
	uint64_t first = append(EVENT_FORK, 1, "a");
	char cursor[CURSOR_TEXT_MAX];
	struct forkbus_log *log = NULL;

	(void)state;
	append(EVENT_EXIT, 2, "b");
	assert_int_equal(forkbus_set_since(client, cursor_print(cursor, log_epoch(written), first)), 0);
	log = read_log();
	assert_next(log, FORKBUS_TYPE_EXIT, first + 1);
	assert_end(log);
	log = forkbus_log_free(log);
	assert_int_equal(forkbus_set_since(client, cursor_print(cursor, ~log_epoch(written), first)), 0);
	assert_int_equal(try_to_read(&log), -ERANGE);
	assert_null(log);
	assert_ptr_equal(strstr(forkbus_get_error(client), "since: "), forkbus_get_error(client));
}

static void those_of_a_span(void **state)
{
	struct forkbus_log *log;
	uint64_t seq;

	(void)state;
	append(EVENT_FORK, 1, "a");
	seq = append(EVENT_EXIT, (uint64_t)time(NULL) * 1000000, "b");
	assert_int_equal(forkbus_set_since(client, "-1h"), 0);
	log = read_log();
	assert_next(log, FORKBUS_TYPE_EXIT, seq);
	assert_end(log);
	forkbus_log_free(log);
}

/* A log does not know which processes live. */
static void what_needs_a_broker(void **state)
{
	static const char *const filters[] = { "{\"pids\":5}", "{\"tree\":{\"pid\":5,\"startUsec\":50}}" };
	static const char *const keys[] = { "pids: ", "tree: " };
	struct forkbus_log *log = NULL;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(forkbus_set_filter(client, filters[i]), 0);
		assert_int_equal(try_to_read(&log), -EINVAL);
		assert_ptr_equal(strstr(forkbus_get_error(client), keys[i]), forkbus_get_error(client));
	}
	assert_int_equal(forkbus_set_filter(client, "{\"pids\":{\"pid\":5,\"startUsec\":50}}"), 0);
	assert_int_equal(forkbus_set_snapshot(client, true), 0);
	assert_int_equal(try_to_read(&log), -EINVAL);
	assert_non_null(strstr(forkbus_get_error(client), "snapshot: "));
	assert_null(log);
}

/* Overwritten events are reported as exactly one loss. */
static void a_writer_that_is_faster(void **state)
{
	uint64_t first = append(EVENT_FORK, 1, "a"), from, to;
	struct forkbus_log *log = read_log();
	const struct forkbus_event *event;

	(void)state;
	assert_next(log, FORKBUS_TYPE_FORK, first);
	while (log_first(written) <= first + 1)
		append(EVENT_EXIT, 1, "x");
	assert_int_equal(forkbus_log_next(log, &event), 1);
	assert_int_equal(forkbus_event_get_type(event), FORKBUS_TYPE_LOST);
	assert_int_equal(forkbus_event_get_uint(event, FORKBUS_FIELD_FROM, &from), 0);
	assert_int_equal(forkbus_event_get_uint(event, FORKBUS_FIELD_TO, &to), 0);
	assert_int_equal(from, first + 1);
	assert_int_equal(to, log_first(written) - 1);
	assert_next(log, FORKBUS_TYPE_EXIT, log_first(written));
	forkbus_log_free(log);
}

static void no_logs(void **state)
{
	const struct log_header newer = { .magic = LOG_MAGIC, .version = LOG_VERSION + 1 };
	struct forkbus_log *log = NULL;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(forkbus_read_log(client, fd, &log), -EBADMSG);
	close(fd);
	assert_int_equal(forkbus_read_log(client, -1, &log), -EBADF);
	fd = open(test_path("noise"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(forkbus_read_log(client, fd, &log), -EBADMSG);
	assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
	assert_int_equal(forkbus_read_log(client, fd, &log), -EBADMSG);
	assert_int_equal(pwrite(fd, &newer, sizeof(newer), 0), sizeof(newer));
	assert_int_equal(forkbus_read_log(client, fd, &log), -EPROTONOSUPPORT);
	close(fd);
	assert_null(log);
}

static void without_memory(void **state)
{
	uint64_t first = append(EVENT_FORK, 1, "a");
	const struct forkbus_event *event;
	struct forkbus_log *log = NULL;
	long before = allocations_held;
	unsigned long failed = 0;
	int r;

	(void)state;
	if (!allocations_can_fail())
		return;
	do {
		allocations_until_failure = ++failed;
		r = try_to_read(&log);
		assert_true(r == 0 || (r == -ENOMEM && !log));
		assert_true(r == 0 || allocations_held_are(before));
	} while (r < 0);
	assert_true(failed > 2);
	allocations_until_failure = 1;
	assert_int_equal(forkbus_log_next(log, &event), -ENOMEM);
	allocations_until_failure = 0;
	assert_next(log, FORKBUS_TYPE_FORK, first);
	assert_end(log);
	forkbus_log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(all_events),	   LOG_TEST(those_that_match),	  LOG_TEST(those_since_a_cursor),
		LOG_TEST(those_of_a_span), LOG_TEST(what_needs_a_broker), LOG_TEST(a_writer_that_is_faster),
		LOG_TEST(no_logs),	   LOG_TEST(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
