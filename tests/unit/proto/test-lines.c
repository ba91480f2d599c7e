// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lines.h"

static char path[64];

static int setup(void **state)
{
	(void)state;
	strcpy(path, "/tmp/forkbus-lines-XXXXXX");
	return close(mkstemp(path));
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void file_write(const void *content, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(content, 1, size, file), size);
	fclose(file);
}

static void assert_next(struct lines *lines, int expected, const char *text)
{
	const char *line = NULL;
	size_t len = 0;
	int r;

	do
		r = lines_next(lines, &line, &len);
	while (r == LINES_E_AGAIN);
	assert_int_equal(r, expected);
	if (expected != 0)
		return;
	assert_int_equal(len, strlen(text));
	assert_memory_equal(line, text, len);
}

static void test_simple(void **state)
{
	static const char content[] = "one\n\ntwo two\r\n12345678901234\nlast";
	struct lines lines;

	(void)state;
	file_write(content, sizeof(content) - 1);
	assert_int_equal(lines_open(&lines, path, 16), 0);
	assert_next(&lines, 0, "one\n");
	assert_next(&lines, 0, "\n");
	assert_next(&lines, 0, "two two\r\n");
	assert_next(&lines, 0, "12345678901234\n");
	assert_next(&lines, 0, "last");
	assert_next(&lines, LINES_E_END, NULL);
	assert_next(&lines, LINES_E_END, NULL);
	lines_close(&lines);
	lines_close(&lines);
}

/* 15 bytes and a newline fit; longer lines are reported once each, however the input is split. */
static void test_too_long(void **state)
{
	struct lines lines;
	char content[200];

	(void)state;
	for (size_t len = 14; len < 70; len++) {
		for (int last = 0; last < 2; last++) {
			memset(content, 'x', sizeof(content));
			memcpy(content, "ab\n", 3);
			memcpy(content + 3 + len, "\ncd\n", 4);
			file_write(content, last ? 3 + len : 3 + len + 4);
			assert_int_equal(lines_open(&lines, path, 16), 0);
			assert_next(&lines, 0, "ab\n");
			content[3 + len + !last] = '\0';
			assert_next(&lines, len < 16 ? 0 : LINES_E_TOO_LONG, content + 3);
			if (!last)
				assert_next(&lines, 0, "cd\n");
			assert_next(&lines, LINES_E_END, NULL);
			lines_close(&lines);
		}
	}
}

/* Random lines of random bytes are read as they were written */
static void test_random(void **state)
{
	enum { SIZE = 100000, LINE = 64 };
	static char content[SIZE + 1];
	struct lines lines;
	const char *line;
	size_t at = 0, len;
	int r;

	(void)state;
	srandom(7);
	for (size_t i = 0; i < SIZE; i++)
		content[i] = random() % 30 ? (char)(random() % 256) : '\n';
	file_write(content, SIZE);
	assert_int_equal(lines_open(&lines, path, LINE), 0);
	while ((r = lines_next(&lines, &line, &len)) != LINES_E_END) {
		if (r == LINES_E_AGAIN)
			continue;
		const char *newline = memchr(content + at, '\n', SIZE - at);
		size_t whole = newline ? (size_t)(newline + 1 - (content + at)) : SIZE - at;

		assert_int_equal(r, whole + !newline > LINE ? LINES_E_TOO_LONG : 0);
		if (r == 0) {
			assert_int_equal(len, whole);
			assert_memory_equal(line, content + at, len);
		}
		at += whole;
	}
	assert_int_equal(at, SIZE);
	lines_close(&lines);
}

/* A line that never ends is read piece by piece. */
static void test_endless(void **state)
{
	struct lines lines;
	const char *line;
	size_t len;

	(void)state;
	assert_int_equal(lines_open(&lines, "/dev/zero", 4096), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(lines_next(&lines, &line, &len), LINES_E_AGAIN);
	lines_close(&lines);
}

static void test_errors(void **state)
{
	struct lines lines;

	(void)state;
	assert_int_equal(lines_open(&lines, "/nonexistent/file", 16), -ENOENT);
	lines_close(&lines);
	assert_int_equal(lines_open(&lines, "/tmp", 16), -EISDIR);
	lines_close(&lines);
}

static void test_fifo(void **state)
{
	struct lines lines;
	int fd;

	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(lines_open(&lines, path, 16), 0);
	assert_next(&lines, LINES_E_LATER, NULL);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_next(&lines, LINES_E_LATER, NULL);
	assert_int_equal(write(fd, "one\ntw", 6), 6);
	assert_next(&lines, 0, "one\n");
	assert_next(&lines, LINES_E_LATER, NULL);
	assert_int_equal(write(fd, "o\n", 2), 2);
	assert_next(&lines, 0, "two\n");
	close(fd);
	assert_next(&lines, LINES_E_END, NULL);
	lines_close(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_simple, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fifo, setup, teardown),
	};

	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
