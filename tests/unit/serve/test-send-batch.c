// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Many sends by one system call have the same result as one each, with all kinds of sockets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/send-batch.h"

struct pair {
	int ours, theirs;
};

static struct pair pairs[SENDS_MAX];

static int open_pairs(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < SENDS_MAX; i++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		pairs[i] = (struct pair){ fds[0], fds[1] };
	}
	return 0;
}

static int close_pairs(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < SENDS_MAX; i++) {
		close(pairs[i].ours);
		if (pairs[i].theirs >= 0)
			close(pairs[i].theirs);
	}
	return 0;
}

/* What a socket takes before it is full. */
static size_t fill(int fd)
{
	static const char data[4096];
	size_t size = 0;
	ssize_t n;

	while ((n = send(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		size += (size_t)n;
	assert_int_equal(errno, EAGAIN);
	return size;
}

static struct send_op op_of(int fd, const void *data, size_t size)
{
	struct send_op op = { .fd = fd };

	send_op_add(&op, data, size);
	return op;
}

/* In one part, in two, in three. */
static struct send_op op_in_parts(int fd, const char *text, unsigned int n_parts)
{
	struct send_op op = op_of(fd, text, n_parts == 1 ? strlen(text) : 1);

	if (n_parts == 3)
		send_op_add(&op, text + 1, 1);
	if (n_parts > 1)
		send_op_add(&op, text + n_parts - 1, strlen(text) - (n_parts - 1));
	return op;
}

static void check_all(struct send_batch *sends)
{
	struct send_op ops[SENDS_MAX];
	char text[SENDS_MAX][16], got[16];

	for (unsigned int n = 0; n <= SENDS_MAX; n = n < 3 ? n + 1 : 2 * n - 2) {
		for (unsigned int i = 0; i < n; i++) {
			snprintf(text[i], sizeof(text[i]), "%u of %u", i, n);
			ops[i] = op_in_parts(pairs[i].ours, text[i], i % SENDS_PARTS + 1);
			assert_int_equal(ops[i].size, strlen(text[i]));
		}
		send_batch_run(sends, ops, n);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(ops[i].result, ops[i].size);
			assert_int_equal(recv(pairs[i].theirs, got, sizeof(got), MSG_DONTWAIT), ops[i].size);
			assert_memory_equal(got, text[i], ops[i].size);
		}
	}
}

/* One that is full, one that takes a part, one whose reader has left, one that is not a socket: none disturbs the others. */
static void check_bad(struct send_batch *sends)
{
	static char data[8 << 20], got[64 << 10];
	struct send_op ops[6];
	int file = open("/dev/null", O_WRONLY | O_CLOEXEC);

	for (unsigned int i = 0; i < 6; i++)
		ops[i] = op_of(pairs[i].ours, "word", 4);
	assert_true(fill(pairs[1].ours) > 0);
	ops[2] = op_of(pairs[2].ours, data, sizeof(data));
	close(pairs[3].theirs);
	pairs[3].theirs = -1;
	ops[4].fd = file;
	send_batch_run(sends, ops, 6);
	assert_int_equal(ops[0].result, 4);
	assert_int_equal(ops[1].result, -EAGAIN);
	assert_in_range(ops[2].result, 1, sizeof(data) - 1);
	assert_int_equal(ops[3].result, -EPIPE);
	assert_int_equal(ops[4].result, -ENOTSOCK);
	assert_int_equal(ops[5].result, 4);
	/* Refused bytes do not arrive later. */
	while (recv(pairs[1].theirs, got, sizeof(got), MSG_DONTWAIT) > 0)
		assert_null(memmem(got, sizeof(got), "word", 4));
	close(file);
}

static void test_ring(void **state)
{
	struct send_batch *sends;

	(void)state;
	assert_int_equal(send_batch_new(&sends), 0);
	check_all(sends);
	check_bad(sends);
	assert_null(send_batch_free(sends));
}

static void test_plain(void **state)
{
	struct send_batch *sends;

	(void)state;
	assert_int_equal(send_batch_new_plain(&sends), 0);
	check_all(sends);
	check_bad(sends);
	assert_null(send_batch_free(sends));
	assert_null(send_batch_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ring, open_pairs, close_pairs),
		cmocka_unit_test_setup_teardown(test_plain, open_pairs, close_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
