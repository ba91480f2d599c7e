/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What all faces on Unix sockets have in common: options, figures, and how their sockets are treated.
 */

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct face_options {
	gid_t group;		 /* whose members see all; (gid_t)-1: none */
	size_t request_max;	 /* bytes of a request */
	uint64_t request_usec;	 /* time to send it */
	uint64_t heartbeat_usec; /* silence after which the subscriber is told that all is well */
	uint64_t coalesce_usec;	 /* under load, what is new may wait so long for more; 0: never */
};

struct face_stats {
	unsigned int connections;
	unsigned int subscribers; /* connections whose subscription was taken */
	uint64_t sent_bytes;
};

/* The kernel charges what waits in a socket to the broker, so little may: the log is the queue. */
#define FACE_SEND_BUFFER (64 * 1024)
/* What one connection may send in one turn of the loop before the others have theirs. */
#define FACE_SEND_SLICE	 (256 * 1024)

/* After the end of input: is there anybody left to read? Who has closed one half only still is. */
static inline bool face_peer_is_gone(int fd)
{
	struct pollfd poll_fd = { .fd = fd };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}
