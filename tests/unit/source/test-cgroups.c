// SPDX-License-Identifier: LGPL-2.1-or-later
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "source/proc/cgroups-read.h"
#include "source/proc/cgroups.h"
#include "tests/unit/support.h"

#define HANG_NSEC (60 * NSEC_PER_SEC)

/* Directories of any file system have inode numbers. */
static const char *root;

static uint64_t make(const char *path)
{
	char full[PATH_MAX];
	struct stat st;

	snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(mkdir(full, 0755), 0);
	assert_int_equal(stat(full, &st), 0);
	return st.st_ino;
}

static void drop(const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(rmdir(full), 0);
}

static void wait_and_collect(struct cgroups *cgroups)
{
	struct pollfd fd = { .fd = cgroups_fd(cgroups), .events = POLLIN };

	(void)poll(&fd, 1, 1);
	cgroups_collect(cgroups);
}

/* Like the event loop: repeat until there is an answer. */
static int find(struct cgroups *cgroups, uint64_t id, struct event_text *path)
{
	uint64_t limit = monotonic_nsec() + HANG_NSEC;
	int r;

	while ((r = cgroups_find(cgroups, id, path)) == CGROUPS_E_LATER && monotonic_nsec() < limit)
		wait_and_collect(cgroups);
	return r;
}

/* After a slow reading there is a pause, and a new cgroup is unknown until its end. */
static void assert_path(struct cgroups *cgroups, uint64_t id, const char *expected)
{
	uint64_t limit = monotonic_nsec() + HANG_NSEC;
	struct event_text path;
	int r;

	while ((r = cgroups_find(cgroups, id, &path)) != 0 && monotonic_nsec() < limit)
		wait_and_collect(cgroups);
	assert_int_equal(r, 0);
	assert_true(event_text_equal(path, event_text(expected)));
}

static void test_read(void **state)
{
	struct cgroups_list list = {};
	uint64_t deep;

	(void)state;
	make("/a");
	make("/a/b");
	deep = make("/a/b/c d");
	make("/e");
	assert_int_equal(cgroups_read(&list, root), 0);
	assert_int_equal(list.n, 5);
	assert_string_equal(list.texts + list.entries[0].path, "/");
	for (size_t i = 0; i < list.n; i++)
		if (list.entries[i].id == deep)
			assert_string_equal(list.texts + list.entries[i].path, "/a/b/c d");
	/* Again, into the same. */
	drop("/a/b/c d");
	assert_int_equal(cgroups_read(&list, root), 0);
	assert_int_equal(list.n, 4);
	cgroups_list_done(&list);
	assert_true(cgroups_read(&list, "/nowhere/at/all") < 0);
	cgroups_list_done(&list);
	drop("/e");
	drop("/a/b");
	drop("/a");
}

static void test_find(void **state)
{
	struct cgroups *cgroups;
	struct event_text path;
	uint64_t before, after, readings, began;

	(void)state;
	before = make("/before");
	assert_int_equal(cgroups_new(&cgroups, root), 0);
	assert_int_equal(cgroups_find(cgroups, before, &path), 0);
	assert_true(event_text_equal(path, event_text("/before")));
	after = make("/before/after");
	assert_path(cgroups, after, "/before/after");

	/* A number without a directory is not searched for again and again, but once a second. */
	assert_int_equal(find(cgroups, 1, &path), CGROUPS_E_UNKNOWN);
	readings = cgroups_stats(cgroups)->readings;
	began = monotonic_nsec();
	for (int i = 0; i < 100; i++)
		assert_int_equal(find(cgroups, 1, &path), CGROUPS_E_UNKNOWN);
	assert_in_range(cgroups_stats(cgroups)->readings, readings,
			readings + (monotonic_nsec() - began) / NSEC_PER_SEC + 1);

	/* A removed cgroup may still be needed. */
	drop("/before/after");
	assert_int_equal(find(cgroups, 2, &path), CGROUPS_E_UNKNOWN);
	assert_path(cgroups, after, "/before/after");
	assert_null(cgroups_free(cgroups));
	drop("/before");
}

/* Any numbers, in any amount: only the given number of paths is kept, among them those that are used. */
static void test_bounded(void **state)
{
	struct cgroups *cgroups;
	struct event_text path;
	uint64_t here = make("/here");

	(void)state;
	assert_int_equal(cgroups_new(&cgroups, root), 0);
	for (uint64_t id = 0; id < 3 * CGROUPS_MAX; id++) {
		(void)cgroups_find(cgroups, UINT64_MAX - id, &path);
		if (id % 1000 == 0)
			assert_path(cgroups, here, "/here");
	}
	assert_int_equal(cgroups_stats(cgroups)->kept, CGROUPS_MAX);
	assert_path(cgroups, here, "/here");
	assert_null(cgroups_free(cgroups));
	drop("/here");
}

static void test_root(void **state)
{
	char *path = cgroups_root();
	struct stat st;

	(void)state;
	if (!path)
		return;
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	free(path);
	assert_null(cgroups_free(NULL));
}

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	root = strdup(test_path("cgroups"));
	return root ? mkdir(root, 0755) : -1;
}

static int teardown(void **state)
{
	(void)state;
	rmdir(root);
	test_dir_remove();
	free((char *)(uintptr_t)root);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_root),
	};

	return cmocka_run_group_tests_name("cgroups", tests, setup, teardown);
}
