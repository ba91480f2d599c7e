// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/socket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"

int cn_socket_open(uint64_t buffer)
{
	_cleanup_close_ int fd = netlink_open(NETLINK_CONNECTOR, CN_IDX_PROC, buffer);
	int on = 1;

	if (fd < 0)
		return fd;
	/*
	 * From 6.6 on the kernel stops sending when an event reaches no listener. With this option it takes a full socket
	 * for an error instead, even if there is no other listener.
	 */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &on, sizeof(on));
	return steal_fd(&fd);
}

/* Inode numbers of the initial namespaces, fixed in the kernel. */
#define PID_NS_INITIAL	0xeffffffcU
#define USER_NS_INITIAL 0xeffffffdU

#define LISTENERS_MAX 4096

static bool is_initial(const char *name, ino_t inode)
{
	struct stat stat_ns;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, &stat_ns) < 0 || stat_ns.st_ino == inode;
}

struct listening {
	netlink_fn fn;
	void *userdata;
	uint32_t ack;
	bool answered;
	uint32_t error;
};

static void on_message(const struct nlmsghdr *message, void *userdata)
{
	struct listening *listening = userdata;
	struct cn_event event;

	if (cn_decode(&event, message) == 0 && cn_event_answers(&event, listening->ack)) {
		listening->answered = true;
		listening->error = event.answer.error;
	}
	if (listening->fn)
		listening->fn(message, listening->userdata);
}

int cn_socket_listen(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain)
{
	struct listening listening = { .fn = fn, .userdata = userdata };
	uint64_t until = clock_usec(CLOCK_MONOTONIC) + wait_usec, now;
	struct cn_request request;
	int r;

	if (getrandom(&listening.ack, sizeof(listening.ack), GRND_NONBLOCK) < 0)
		listening.ack = (uint32_t)until;
	r = netlink_send(fd, cn_request_init(&request, PROC_CN_MCAST_LISTEN, listening.ack));
	if (r < 0)
		return r;
	for (;;) {
		r = netlink_receive(fd, arena, on_message, &listening, drain);
		if (r < 0)
			return r;
		if (listening.answered)
			return netlink_errno(-(int64_t)listening.error);
		now = clock_usec(CLOCK_MONOTONIC);
		if (r == 0 && (now >= until || !netlink_wait(fd, until - now)))
			return is_initial("pid", PID_NS_INITIAL) && is_initial("user", USER_NS_INITIAL)
				       ? CN_SOCKET_E_SILENT
				       : CN_SOCKET_E_FOREIGN;
	}
}

int cn_socket_insist(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain)
{
	int r = cn_socket_listen(fd, wait_usec, arena, fn, userdata, drain), extra;

	for (unsigned int i = 0; r == CN_SOCKET_E_SILENT && i < LISTENERS_MAX; i++) {
		extra = cn_socket_open(0);
		if (extra < 0)
			return extra;
		/* Closed without a word, so that it stays counted. The answer is there when sending returns. */
		r = cn_socket_listen(extra, 0, arena, NULL, NULL, drain);
		close(extra);
		if (r == 0)
			r = cn_socket_listen(fd, wait_usec, arena, fn, userdata, drain);
	}
	return r;
}

void cn_socket_ignore(int fd)
{
	struct cn_request request;

	(void)netlink_send(fd, cn_request_init(&request, PROC_CN_MCAST_IGNORE, 0));
}
