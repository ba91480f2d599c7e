// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake-broker.h"
#include "support.h"

struct fake fake = { -1, -1 };
static unsigned int descriptors;

void fake_listen(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_path("org.forkbus1"));
	unlink(address.sun_path);
	fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fake.listener >= 0);
	assert_int_equal(bind(fake.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fake.listener, 8), 0);
}

void fake_stop_listening(void)
{
	if (fake.listener >= 0)
		close(fake.listener);
	fake.listener = -1;
}

int fake_setup(void **state)
{
	(void)state;
	descriptors = count_descriptors();
	test_dir_make();
	fake_listen();
	return 0;
}

int fake_teardown(void **state)
{
	(void)state;
	fake_hang_up();
	fake_stop_listening();
	test_dir_remove();
	assert_int_equal(count_descriptors(), descriptors);
	return 0;
}

void fake_accept(void)
{
	const struct timeval timeout = { .tv_sec = 60 };

	fake_hang_up();
	fake.link = accept4(fake.listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fake.link >= 0);
	setsockopt(fake.link, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

void fake_hang_up(void)
{
	if (fake.link >= 0)
		close(fake.link);
	fake.link = -1;
}

void fake_expect(const char *call)
{
	json_t *expected = json_loads(call, 0, NULL), *got;
	char text[65536];
	size_t size = 0;

	do {
		assert_true(size < sizeof(text));
		assert_int_equal(recv(fake.link, text + size, 1, 0), 1);
	} while (text[size++] != '\0');
	got = json_loads(text, 0, NULL);
	assert_non_null(expected);
	if (!json_equal(expected, got))
		assert_string_equal(text, call);
	json_decref(expected);
	json_decref(got);
}

void fake_say_bytes(const char *data, size_t size)
{
	assert_int_equal(send(fake.link, data, size, MSG_NOSIGNAL), size);
}

void fake_say(const char *text)
{
	fake_say_bytes(text, strlen(text) + 1);
}

void fake_say_with_fd(const char *text, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec data = { (void *)(uintptr_t)text, strlen(text) + 1 };
	struct msghdr header = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
	assert_int_equal(sendmsg(fake.link, &header, MSG_NOSIGNAL), data.iov_len);
}

struct forkbus *handle_open(uint64_t flags)
{
	struct forkbus *client;

	assert_int_equal(forkbus_new(&client, test_path("."), flags), 0);
	return client;
}

void handle_started(struct forkbus *client, const char *expected)
{
	assert_int_equal(forkbus_start(client), 0);
	assert_nothing(client);
	fake_accept();
	fake_expect(expected);
}

void assert_item(struct forkbus *client, int item)
{
	const struct forkbus_event *event;

	assert_int_equal(forkbus_process(client, &event), item);
	assert_null(event);
}

void assert_nothing(struct forkbus *client)
{
	assert_item(client, FORKBUS_NOTHING);
}

void assert_event(struct forkbus *client, enum forkbus_type type, uint64_t seq)
{
	const struct forkbus_event *event;
	uint64_t got = 0;
	int r;

	assert_int_equal(forkbus_process(client, &event), FORKBUS_EVENT);
	assert_int_equal(forkbus_event_get_type(event), type);
	r = forkbus_event_get_uint(event, FORKBUS_FIELD_SEQ, &got);
	assert_int_equal(r, seq == 0 ? -ENODATA : 0);
	assert_int_equal(got, seq);
}
