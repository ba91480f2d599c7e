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
#include <sys/types.h>

struct sends;

struct sends_op {
	int fd;
	const void *data;
	size_t size;
	ssize_t result; /* of the send: a number of bytes, or a negative errno */
};

/* As many as go at once. */
#define SENDS_MAX 64

/* sends_new() - for the calling thread alone. Return: 0 or -ENOMEM. */
int sends_new(struct sends **ret);
/* The same without io_uring, for tests. */
int sends_new_plain(struct sends **ret);
/* NULL is fine. Return: NULL. */
struct sends *sends_free(struct sends *sends);

/*
 * sends_run() - send what @n of @ops say, at most SENDS_MAX, without waiting for any socket, and set their results
 * Each as send(2) with MSG_DONTWAIT and MSG_NOSIGNAL; in no order, so each to another socket.
 */
void sends_run(struct sends *sends, struct sends_op *ops, unsigned int n);
