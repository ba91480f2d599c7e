/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Netlink sockets for sources: large buffers, many messages per system call, and only messages from the kernel.
 */

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define NETLINK_BATCH	     64
#define NETLINK_DATAGRAM_MAX 4096

/* The buffers for datagrams, shared by all sockets of a thread. */
struct netlink_arena {
	struct mmsghdr headers[NETLINK_BATCH];
	struct iovec vectors[NETLINK_BATCH];
	struct sockaddr_nl senders[NETLINK_BATCH];
	_Alignas(NLMSG_ALIGNTO) unsigned char data[NETLINK_BATCH][NETLINK_DATAGRAM_MAX];
};

/* The result of draining a socket. */
struct netlink_drain {
	unsigned int datagrams;
	bool overrun; /* the kernel dropped messages because the socket was full */
	/*
	 * CLOCK_MONOTONIC, when that was noticed: the socket still drops every message, until it is empty. Messages that it
	 * held are older, later ones are younger.
	 */
	uint64_t overrun_nsec;
};

typedef void (*netlink_fn)(const struct nlmsghdr *message, void *userdata);

void netlink_arena_init(struct netlink_arena *arena);

/*
 * netlink_open() - a non-blocking socket
 * @groups: multicast group mask; @buffer: bytes to request, beyond the system's limit if that is allowed, 0: keep the default
 * Return: the descriptor or a negative errno.
 */
int netlink_open(int protocol, uint32_t groups, uint64_t buffer);

/* netlink_send() - one message to the kernel. Return: 0 or a negative errno. */
int netlink_send(int fd, const struct nlmsghdr *message);

/* netlink_walk() - call @fn for each complete message of a datagram; stops at one that is cut or has a wrong length */
void netlink_walk(const void *data, size_t size, netlink_fn fn, void *userdata);

/*
 * netlink_receive() - receive queued datagrams with one system call
 * Return: number of datagrams; 0 when the queue is empty; a negative errno. An overrun is noted in @drain, and is not an error.
 */
int netlink_receive(int fd, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		    struct netlink_drain *drain);

/*
 * netlink_receive_one() - one datagram, of any size up to @size
 * Return: its length; 0 if the queue is empty; -ENOBUFS once after an overrun, before the datagrams that are still queued;
 * -EMSGSIZE if it is longer; another negative errno.
 */
ssize_t netlink_receive_one(int fd, void *buffer, size_t size);

/*
 * netlink_errno() - the error of an answer, negative as in struct nlmsgerr
 * Return: 0 or a negative errno; -EBADMSG for a number that is neither, which must not reach strerror(3) or be negated.
 */
int netlink_errno(int64_t error);

/* netlink_wait() - wait until there is something to receive. Return: whether there is. */
bool netlink_wait(int fd, uint64_t usec);

/*
 * netlink_count_drops() - how many messages the kernel dropped on a socket since the last call, by the kernel's counter
 * @before: the counter at the last call, updated; begin with 0
 */
uint32_t netlink_count_drops(int fd, uint32_t *before);
