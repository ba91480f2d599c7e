// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/access.h"
#include "core/privacy.h"

#define ALL FIELDS_ALL
static const field_set program = EVENT_BIT(exe) | EVENT_BIT(filename) | EVENT_BIT(filename_cut) |
				 EVENT_BIT(args) | EVENT_BIT(args_cut) | EVENT_BIT(root);
static const field_set usage =
	EVENT_BIT(read_bytes) | EVENT_BIT(write_bytes) | EVENT_BIT(read_chars) | EVENT_BIT(write_chars);

static const struct visibility tenant = { .all = false, .uid = 1000 };

static struct fb_event make(enum event_type type)
{
	struct fb_event event;

	/* Absent fields must not count: their values here would mean that the event belongs to the tenant. */
	memset(&event, 0, sizeof(event));
	fb_event_init(&event, type);
	event.uid = event.euid = event.old_uid = event.gid = event.egid = 1000;
	return event;
}

static void test_of(void **state)
{
	const struct peer root = { .uid = 0, .gid = 100 };
	const struct peer member = { .uid = 1000, .gid = 1000, .member = true };
	const struct peer user = { .pid = 5, .uid = 1000, .gid = 0 };

	(void)state;
	assert_true(access_of(&root).all);
	assert_true(access_of(&member).all);
	assert_false(access_of(&user).all);
	assert_int_equal(access_of(&user).uid, 1000);
}

static void test_all(void **state)
{
	const struct visibility all = { .all = true, .uid = 1000 };

	(void)state;
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++) {
		struct fb_event event = make(type);

		assert_true(access_fields(all, &event) == ALL);
		EVENT_SET(&event, uid, 0);
		EVENT_SET(&event, euid, 1);
		assert_true(access_fields(all, &event) == ALL);
	}
}

/* Every type of event, with each combination of whose it is, and of what is private */
static void check_tenant(enum event_type type, unsigned int i)
{
	static const uint32_t uids[] = { 0, 1000, 1001, UINT32_MAX };
	unsigned int uid = i % 5, old = i / 5 % 5, marks = i / 25;
	struct fb_event event = make(type);
	bool own = uid == 1, left = type == EVENT_ID && old == 1;
	field_set expected = ALL;

	/* 4: not known */
	if (uid < 4)
		EVENT_SET(&event, uid, uids[uid]);
	if (old < 4)
		EVENT_SET(&event, old_uid, uids[old]);
	EVENT_SET(&event, privacy, marks);
	if (type != EVENT_SOURCE && type != EVENT_LOST && type != EVENT_READY && type != EVENT_HEARTBEAT) {
		if (marks & PRIVACY_PROGRAM)
			expected &= ~program;
		if (marks & PRIVACY_USAGE)
			expected &= ~usage;
		if (!own && !left)
			expected = 0;
	}
	assert_true(access_fields(tenant, &event) == expected);
}

static void test_tenant(void **state)
{
	(void)state;
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		for (unsigned int i = 0; i < 5 * 5 * 4; i++)
			check_tenant(type, i);
}

/* A record without marks, as most are, and those of an old log: the ids decide, and what is unknown is private. */
static void test_ids(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3 * 3 * 3; i++) {
		struct fb_event event = make(EVENT_EXIT);
		unsigned int values[] = { i % 3, i / 3 % 3, i / 9 };
		bool plain = true;

		EVENT_SET(&event, uid, 1000);
		/* 0: not known, 1: the user's, 2: of another */
		for (unsigned int j = 0; j < 3; j++)
			plain &= values[j] == 1;
		if (values[0])
			EVENT_SET(&event, euid, values[0] == 1 ? 1000 : 0);
		if (values[1])
			EVENT_SET(&event, egid, values[1] == 1 ? 100 : 0);
		if (values[2])
			EVENT_SET(&event, gid, values[2] == 1 ? 100 : 50);
		assert_true(access_fields(tenant, &event) == (plain ? ALL : ~(program | usage)));
	}
}

#define NO_GROUP ((gid_t)-1)

/* No user has these. */
#define TEST_UID      61231
#define TEST_GID      61232
#define TEST_SEES_ALL 61233

static void test_self(void **state)
{
	struct peer peer;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(peer_from_socket(&peer, fds[0], NO_GROUP), 0);
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.gid, getegid());
	assert_false(peer.member);
	assert_int_equal(peer_from_socket(&peer, fds[0], getegid()), 0);
	assert_true(peer.member);
	assert_int_equal(peer_from_socket(&peer, fds[0], TEST_SEES_ALL), 0);
	assert_false(peer.member);
	close(fds[0]);
	close(fds[1]);
}

static void test_errors(void **state)
{
	struct peer peer;
	int fd;

	(void)state;
	assert_int_equal(peer_from_socket(&peer, -1, NO_GROUP), -EBADF);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(peer_from_socket(&peer, fd, NO_GROUP), -ENOTSOCK);
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(peer_from_socket(&peer, fd, NO_GROUP), -ENOTCONN);
	close(fd);
}

static char directory[] = "/tmp/forkbus-peer-XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static int setup(void **state)
{
	static int listener;

	if (!mkdtemp(directory) || chmod(directory, 0755) < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 5) < 0 ||
	    chmod(address.sun_path, 0666) < 0)
		return -1;
	*state = &listener;
	return 0;
}

static int teardown(void **state)
{
	close(*(int *)*state);
	unlink(address.sun_path);
	return rmdir(directory);
}

/* A child changes its user, connects, and changes it again: the user at the time of the connection counts. */
static struct peer connect_as(int listener, const gid_t *groups, size_t n)
{
	struct peer peer = { .uid = 0 };
	pid_t child = fork();
	int fd, status;

	assert_true(child >= 0);
	if (child == 0) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (setgroups(n, groups) < 0 || setresgid(TEST_GID, TEST_GID, 0) < 0 ||
		    setresuid(TEST_UID, TEST_UID, 0) < 0 ||
		    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			_exit(1);
		if (setresuid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 || read(fd, &status, 1) != 0)
			_exit(2);
		_exit(0);
	}
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(peer_from_socket(&peer, fd, TEST_SEES_ALL), 0);
	assert_int_equal(peer.pid, child);
	close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return peer;
}

static void test_others(void **state)
{
	int listener = *(int *)*state;
	gid_t groups[3000];
	struct peer peer;

	if (geteuid() != 0)
		return; /* Not skip(): what cmocka prints for that, prove takes for a failure. */
	peer = connect_as(listener, NULL, 0);
	assert_int_equal(peer.uid, TEST_UID);
	assert_int_equal(peer.gid, TEST_GID);
	assert_false(peer.member);

	/* More groups than fit into the first buffer; the relevant one is the last of them. */
	for (size_t i = 0; i < 3000; i++)
		groups[i] = (gid_t)(50000 + i);
	assert_false(connect_as(listener, groups, 3000).member);
	groups[2999] = TEST_SEES_ALL;
	assert_true(connect_as(listener, groups, 3000).member);
	assert_true(connect_as(listener, groups + 2999, 1).member);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_errors),
		cmocka_unit_test_setup_teardown(test_others, setup, teardown),
		cmocka_unit_test(test_of),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_tenant),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
