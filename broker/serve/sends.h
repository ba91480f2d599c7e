/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Many sends by one system call.
 *
 * An event goes to many sockets at once, and a system call for each is most of what that costs. Where the kernel has
 * io_uring (and an administrator or a sandbox lets us have it) all of them are handed over together; where not, they are
 * made one after the other.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct sends;

/* As many as go at once, and of how many parts each may be. */
#define SENDS_MAX   64
#define SENDS_PARTS 3

struct sends_op {
	int fd;
	unsigned int n_parts;
	struct iovec parts[SENDS_PARTS];
	size_t size;	       /* of all parts */
	ssize_t result;	       /* of the send: a number of bytes, or a negative errno */
	struct msghdr message; /* for sends_run() */
};

static inline void sends_op_add(struct sends_op *op, const void *data, size_t size)
{
	op->parts[op->n_parts++] = (struct iovec){ (void *)(uintptr_t)data, size };
	op->size += size;
}

/* sends_new() - for the calling thread alone. Return: 0 or -ENOMEM. */
int sends_new(struct sends **ret);
/* The same without io_uring, for tests. */
int sends_new_plain(struct sends **ret);
/* NULL is fine. Return: NULL. */
struct sends *sends_free(struct sends *sends);

/*
 * sends_run() - send what @n of @ops say, at most SENDS_MAX, without waiting for any socket, and set their results
 * Each as sendmsg(2) with MSG_DONTWAIT and MSG_NOSIGNAL; in no order, so each to another socket.
 */
void sends_run(struct sends *sends, struct sends_op *ops, unsigned int n);
