/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A subscriber that may see all processes can read the broker's log itself: forkbus-ring(7).
 *
 * A ring is used by one thread at a time. It has a thread of its own, with all signals blocked, which waits on the futex
 * that the broker wakes, and signals a descriptor to poll. After fork(2) the child can only free the ring.
 *
 * The content of the file is never trusted. It is read by pread(2): a program that can write the file can also truncate it,
 * and then a load from a mapping raises SIGBUS. Only the futex in it is mapped; the kernel reports an error if it is gone.
 */

#include "event.h"

struct ring;

enum {
	_RING_E_SUCCESS,
	RING_E_END,	 /* nothing for now: the descriptor becomes readable when there is more */
	RING_E_LOST,	 /* the event is of the type lost and describes the missing events */
	RING_E_REPLACED, /* all is read, and nothing will follow: the log was unlinked, and has no writer */
	RING_E_EPOCH,	 /* ring_seek(): the cursor is of another log */
};

/*
 * ring_new() - read a log from its oldest event on
 * @fd: of the log; ownership is taken: closed with the ring, or at once on failure
 * Return: 0, -EBADMSG if it is not a log, -EPROTONOSUPPORT if it is of another version or machine, or another negative
 * errno.
 */
int ring_new(struct ring **ret, int fd);
struct ring *ring_free(struct ring *ring);

/* ring_fd() - readable (POLLIN) from the beginning, and after RING_E_END once there is more; not to be read by others */
int ring_fd(const struct ring *ring);

/*
 * ring_next() - the next event
 * Its texts are valid until the next call. A loss has reason (slow; expired: what ring_seek() asked for is no longer there),
 * from, to and count.
 * Return: 0, RING_E_END, RING_E_LOST, RING_E_REPLACED, -EBADMSG where the log is damaged, -EPROTONOSUPPORT
 * where a newer broker has continued it with types of events that are unknown here; both errors are permanent.
 */
int ring_next(struct ring *ring, struct fb_event *event);

/*
 * ring_seek() - continue after a cursor
 * The next event is the one with the number @seq + 1, or, if the log no longer has it, the exact loss up to the oldest one.
 * Return: 0; RING_E_EPOCH, -ERANGE if @seq is in the future (both leave the position unchanged); -EBADMSG,
 * -EPROTONOSUPPORT as above.
 */
int ring_seek(struct ring *ring, uint64_t epoch, uint64_t seq);
