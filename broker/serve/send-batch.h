/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Many sends by one system call.
 *
 * An event goes to many sockets at once, and a system call for each is most of what that costs. Where the kernel
 * has io_uring, and neither an administrator nor a sandbox forbids it, all of them are submitted together; elsewhere they are
 * made one after the other.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct send_batch;

/* As many as go at once, and of how many parts each may be. */
#define SENDS_MAX   64
#define SENDS_PARTS 3

struct send_op {
	int fd;
	unsigned int n_parts;
	struct iovec parts[SENDS_PARTS];
	size_t size;	       /* of all parts */
	ssize_t result;	       /* of the send: a number of bytes, or a negative errno */
	struct msghdr message; /* for send_batch_run() */
};

static inline void send_op_add(struct send_op *op, const void *data, size_t size)
{
	op->parts[op->n_parts++] = (struct iovec){ (void *)(uintptr_t)data, size };
	op->size += size;
}

/* send_batch_new() - for the calling thread alone. Return: 0 or -ENOMEM. */
int send_batch_new(struct send_batch **ret);
/* The same without io_uring, for tests. */
int send_batch_new_plain(struct send_batch **ret);
/* NULL is fine. Return: NULL. */
struct send_batch *send_batch_free(struct send_batch *batch);

/*
 * send_batch_run() - send what @n of @ops say, at most SENDS_MAX, without waiting for any socket, and set their results
 * Each as sendmsg(2) with MSG_DONTWAIT and MSG_NOSIGNAL; in no order, so each to another socket.
 */
void send_batch_run(struct send_batch *batch, struct send_op *ops, unsigned int n);
