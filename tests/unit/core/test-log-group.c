// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who may read the log's file. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "log-format.h"
#include "tests/unit/support.h"

#define SIZE_MIN (LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove();
	return 0;
}

/* Open the log for a group, and append an event. Return: its inode. */
static ino_t run_for(gid_t group, mode_t mode, uint64_t *epoch, uint64_t *end)
{
	struct fb_event event;
	struct log *log;
	struct stat st;

	assert_int_equal(log_open(&log, test_path("log"), SIZE_MIN, group), 0);
	fb_event_init(&event, EVENT_COMM);
	EVENT_SET(&event, comm, event_text("a name"));
	log_append(log, &event);
	log_show(log);
	*epoch = log_epoch(log);
	*end = log_next(log);
	assert_int_equal(stat(test_path("log"), &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	if (group != (gid_t)-1)
		assert_int_equal(st.st_gid, group);
	assert_int_equal(access(test_path("log.new"), F_OK), -1);
	log_free(log);
	return st.st_ino;
}

/* A log that belonged to another group: its readers keep the old file, in which nothing follows. */
static void test_group(void **state)
{
	uint64_t epoch, end, first_epoch, head;
	struct log_header *mapped;
	ino_t inode, other;
	int fd;

	(void)state;
	if (geteuid() != 0)
		return;
	inode = run_for(61232, 0640, &first_epoch, &end);
	assert_int_equal(end, 2);
	/* The same group keeps the file. */
	assert_int_equal(run_for(61232, 0640, &epoch, &end), inode);
	assert_int_equal(end, 3);
	fd = open(test_path("log"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	mapped = mmap(NULL, LOG_HEADER_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(mapped != MAP_FAILED);
	head = mapped->head;
	other = run_for(61233, 0640, &epoch, &end);
	assert_int_not_equal(other, inode);
	/* It is the same log. */
	assert_int_equal(epoch, first_epoch);
	assert_int_equal(end, 4);
	assert_int_equal(mapped->head, head);
	assert_int_not_equal(run_for((gid_t)-1, 0600, &epoch, &end), other);
	assert_int_equal(end, 5);
	/* Nobody else could read this one. */
	inode = run_for((gid_t)-1, 0600, &epoch, &end);
	assert_int_equal(run_for(61233, 0640, &epoch, &end), inode);
	assert_int_equal(chmod(test_path("log"), 0644), 0);
	assert_int_not_equal(run_for(61233, 0640, &epoch, &end), inode);
	assert_int_equal(epoch, first_epoch);
	assert_int_equal(end, 8);
	munmap(mapped, LOG_HEADER_SIZE);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_group, setup, teardown),
	};

	return cmocka_run_group_tests_name("log-group", tests, NULL, NULL);
}
