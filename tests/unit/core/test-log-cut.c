// SPDX-License-Identifier: LGPL-2.1-or-later
/* A log whose file is cut while the broker has it mapped. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/message.h"
#include "core/log.h"
#include "log-format.h"
#include "tests/unit/support.h"

#define SIZE_MIN ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)

static int setup(void **state)
{
	(void)state;
	msg_set_level(LOG_ERR - 1);
	test_dir_make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove();
	return 0;
}

static struct log *open_log(enum log_origin origin)
{
	struct log *log = NULL;

	assert_int_equal(log_open(&log, test_path("log"), SIZE_MIN, (gid_t)-1), 0);
	assert_int_equal(log_origin(log), origin);
	return log;
}

static void append_pids(struct log *log, uint64_t from, uint64_t until)
{
	struct fb_event event;

	for (uint64_t seq = from; seq < until; seq++) {
		fb_event_init(&event, EVENT_FORK);
		EVENT_SET(&event, pid, (uint32_t)seq);
		assert_int_equal(log_append(log, &event), seq);
	}
	log_show(log);
}

static void assert_pids(struct log *log, uint64_t from, uint64_t until)
{
	struct log_place place;
	struct fb_event event;

	assert_int_equal(log_first(log), from);
	assert_int_equal(log_next(log), until);
	assert_int_equal(log_seek(log, from, &place), 0);
	for (uint64_t seq = from; seq < until; seq++) {
		assert_int_equal(log_read(log, &place, &event), 0);
		assert_int_equal(event.seq, seq);
		assert_int_equal(event.pid, (uint32_t)seq);
	}
	assert_int_equal(log_read(log, &place, &event), LOG_E_END);
}

/* The file is cut to a length, and then used by reading or by writing: the log goes on in a new one, with the same epoch. */
static void cut(off_t length, bool by_reading)
{
	struct log *log = open_log(LOG_NEW);
	uint64_t epoch = log_epoch(log), from;
	struct log_place place;
	struct fb_event event;
	struct stat st;

	append_pids(log, 1, 9000);
	from = log_first(log);
	assert_int_equal(truncate(test_path("log"), length), 0);
	if (by_reading) {
		/* Wherever it begins, it ends. */
		for (uint64_t seq = from; seq < 9000; seq += 1 + seq / 9)
			if (log_seek(log, seq, &place) == 0)
				while (log_read(log, &place, &event) == 0)
					;
		(void)log_first_time(log);
		(void)log_seek_time(log, 1);
		log_show(log);
		assert_int_equal(log_first(log), 9000);
	}
	append_pids(log, 9000, 9100);
	assert_pids(log, by_reading ? 9000 : log_first(log), 9100);
	append_pids(log, 9100, 9200);
	assert_pids(log, log_first(log), 9200);
	assert_true(log_first(log) >= 9000);
	assert_int_equal(log_epoch(log), epoch);
	assert_int_equal(stat(test_path("log"), &st), 0);
	assert_int_equal(st.st_size, LOG_HEADER_SIZE + SIZE_MIN);
	from = log_first(log);
	log_free(log);
	log = open_log(LOG_REOPENED);
	assert_int_equal(log_epoch(log), epoch);
	assert_pids(log, from, 9200);
	log_free(log);
	assert_int_equal(unlink(test_path("log")), 0);
}

static void test_cut(void **state)
{
	static const off_t lengths[] = { 0, 1, LOG_HEADER_SIZE };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		cut(lengths[i], false);
		cut(lengths[i], true);
	}
	/* Only what is read is gone. */
	cut(LOG_HEADER_SIZE + LOG_BLOCK_SIZE, true);
}

/* If there cannot be a new file, the log goes on in memory. */
static void test_cut_without_room(void **state)
{
	struct rlimit limit, small;
	struct log *log = open_log(LOG_NEW);

	(void)state;
	append_pids(log, 1, 100);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = (struct rlimit){ SIZE_MIN / 2, limit.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(truncate(test_path("log"), 0), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	append_pids(log, 100, 200);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	append_pids(log, 200, 300);
	assert_pids(log, 100, 300);
	assert_true(log_share(log) < 0);
	log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_without_room, setup, teardown),
	};

	return cmocka_run_group_tests_name("log-cut", tests, NULL, NULL);
}
