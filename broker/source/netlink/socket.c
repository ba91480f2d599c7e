// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/netlink/socket.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <poll.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* MAX_ERRNO of the kernel. */
#define ERRNO_MAX 4095

void netlink_arena_init(struct netlink_arena *arena)
{
	for (size_t i = 0; i < NETLINK_BATCH; i++) {
		arena->vectors[i] = (struct iovec){ arena->data[i], NETLINK_DATAGRAM_MAX };
		arena->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &arena->senders[i],
			.msg_namelen = sizeof(arena->senders[i]),
			.msg_iov = &arena->vectors[i],
			.msg_iovlen = 1,
		};
	}
}

static void netlink_set_buffer(int fd, uint64_t buffer)
{
	int size = buffer > INT_MAX / 2 ? INT_MAX / 2 : (int)buffer;

	if (size && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

int netlink_open(int protocol, uint32_t groups, uint64_t buffer)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0)
		return -errno;
	netlink_set_buffer(fd, buffer);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

int netlink_send(int fd, const struct nlmsghdr *message)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (sendto(fd, message, message->nlmsg_len, MSG_NOSIGNAL, (struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

void netlink_walk(const void *data, size_t size, netlink_fn fn, void *userdata)
{
	const struct nlmsghdr *message = data;
	int left = size > INT_MAX ? INT_MAX : (int)size;

	/* libmnl compares lengths as signed numbers: one above INT_MAX would pass. */
	for (; mnl_nlmsg_ok(message, left) && message->nlmsg_len <= (uint32_t)left;
	     message = mnl_nlmsg_next(message, &left))
		fn(message, userdata);
}

static bool netlink_from_kernel(const struct netlink_arena *arena, unsigned int i)
{
	const struct msghdr *header = &arena->headers[i].msg_hdr;

	return header->msg_namelen == sizeof(struct sockaddr_nl) && arena->senders[i].nl_pid == 0 &&
	       !(header->msg_flags & MSG_TRUNC);
}

int netlink_receive(int fd, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		    struct netlink_drain *drain)
{
	int n;

	for (unsigned int i = 0; i < NETLINK_BATCH; i++)
		arena->headers[i].msg_hdr.msg_namelen = sizeof(arena->senders[i]);

	/* The kernel returns ENOBUFS once, before the messages that are still queued: the next call continues. */
	while ((n = recvmmsg(fd, arena->headers, NETLINK_BATCH, MSG_DONTWAIT, NULL)) < 0) {
		if (errno == ENOBUFS) {
			drain->overrun = true;
			drain->overrun_nsec = monotonic_nsec();
		} else if (errno == EAGAIN)
			return 0;
		else if (errno != EINTR)
			return -errno;
	}
	for (int i = 0; i < n; i++)
		if (netlink_from_kernel(arena, (unsigned int)i))
			netlink_walk(arena->data[i], arena->headers[i].msg_len, fn, userdata);
	drain->datagrams += (unsigned int)n;
	return n;
}

ssize_t netlink_receive_one(int fd, void *buffer, size_t size)
{
	struct sockaddr_nl sender;
	socklen_t sender_size;
	ssize_t n;

	do {
		sender_size = sizeof(sender);
		n = recvfrom(fd, buffer, size, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sender,
			     &sender_size);
	} while ((n < 0 && errno == EINTR) || n == 0 ||
		 (n > 0 && (sender_size != sizeof(sender) || sender.nl_pid != 0)));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return (size_t)n > size ? -EMSGSIZE : n;
}

int netlink_errno(int64_t error)
{
	return error <= 0 && error >= -ERRNO_MAX ? (int)error : -EBADMSG;
}

bool netlink_wait(int fd, uint64_t usec)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, (int)((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC)) > 0;
}

uint32_t netlink_count_drops(int fd, uint32_t *before)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(info);
	uint32_t count;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0 ||
	    size <= SK_MEMINFO_DROPS * sizeof(info[0]))
		return 0;
	count = info[SK_MEMINFO_DROPS] - *before;
	*before = info[SK_MEMINFO_DROPS];
	return count;
}
