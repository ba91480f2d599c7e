// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A peer sends a TCP socket that lingers, and whose data nobody reads: who closes it last waits for LINGER_SEC.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "serve/closer.h"

#define LINGER_SEC 600
#define HANG_USEC  (60 * USEC_PER_SEC)

static int ours, peer, tcp_reader = -1;

static int make_lingering(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct linger linger = { 1, LINGER_SEC };
	socklen_t size = sizeof(address);
	static char data[65536];
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	tcp_reader = accept(listener, NULL, NULL);
	assert_true(tcp_reader >= 0);
	close(listener);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* Sends a descriptor, and closes it. */
static ssize_t send_descriptor(const char *text, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { (char *)(uintptr_t)text, strlen(text) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n;

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	n = sendmsg(peer, &message, MSG_NOSIGNAL);
	close(fd);
	return n;
}

static int setup(void **state)
{
	int both[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, both) < 0)
		return -1;
	ours = both[0];
	peer = both[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(peer);
	if (tcp_reader >= 0)
		close(tcp_reader);
	tcp_reader = -1;
	return 0;
}

static void test_receive(void **state)
{
	char data[64];

	(void)state;
	assert_int_equal(rights_receive(ours, data, sizeof(data)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(send(peer, "some", 4, 0), 4);
	assert_int_equal(send(peer, "more", 4, 0), 4);
	assert_int_equal(rights_receive(ours, data, 5), 5);
	assert_int_equal(rights_receive(ours, data, sizeof(data)), 3);
	assert_memory_equal(data, "ore", 3);
	assert_int_equal(send_descriptor("x", open("/dev/null", O_RDONLY)), 1);
	assert_int_equal(rights_receive(ours, data, sizeof(data)), -1);
	assert_int_equal(errno, EPROTO);
	close(ours);
}

static void test_receive_end(void **state)
{
	char data[4];

	(void)state;
	shutdown(peer, SHUT_WR);
	assert_int_equal(rights_receive(ours, data, sizeof(data)), 0);
	close(ours);
}

static void test_refuse(void **state)
{
	(void)state;
	assert_false(rights_are_refused(ours));
	if (!rights_refuse(ours)) {
		close(ours);
		skip(); /* before Linux 6.16 */
	}
	assert_true(rights_are_refused(ours));
	assert_int_equal(send_descriptor("x", open("/dev/null", O_RDONLY)), -1);
	close(ours);
}

/* Return: how long it takes to close the socket, and then another one. */
static uint64_t time_to_close(void)
{
	uint64_t began = clock_usec(CLOCK_MONOTONIC);
	struct closer *closer;
	int both[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
	assert_int_equal(closer_new(&closer), 0);
	closer_close(closer, ours);
	closer_close(closer, both[0]);
	assert_int_equal(read(both[1], &byte, 1), 0);
	close(both[1]);
	closer_free(closer);
	return clock_usec(CLOCK_MONOTONIC) - began;
}

static void test_close(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(send(peer, "some", 4, 0), 4);
	assert_true(time_to_close() < HANG_USEC);
	assert_int_equal(send(peer, "x", 1, MSG_NOSIGNAL), -1);
	assert_true(read(peer, &byte, 1) <= 0);
}

static void test_close_lingering(void **state)
{
	(void)state;
	assert_int_equal(send(peer, "some", 4, 0), 4);
	assert_int_equal(send_descriptor("x", make_lingering()), 1);
	assert_true(time_to_close() < HANG_USEC);
	assert_int_equal(send(peer, "x", 1, MSG_NOSIGNAL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_lingering, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
