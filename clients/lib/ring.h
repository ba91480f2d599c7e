/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A subscriber that sees everything reads the broker's log itself, in its own mapping: forkbus-ring(7).
 *
 * A ring is used by one thread at a time. It has a thread of its own, with all signals blocked, which turns the word that the
 * broker wakes into a descriptor to poll; after fork(2) a child can do nothing with it but free it.
 *
 * What the file holds is never trusted. But who can write the file can also cut it short, and then reading the mapping ends in
 * SIGBUS: that is the broker, and root, alone.
 */

#include "event.h"

struct ring;

enum {
	_RING_E_SUCCESS,
	RING_E_END,	 /* nothing for now: the descriptor becomes readable when there is more */
	RING_E_LOST,	 /* the event is of the type lost: these are missing */
	RING_E_REPLACED, /* all is read, and nothing will follow: the log has lost its name, and has no writer */
	RING_E_EPOCH,	 /* ring_seek(): the cursor is of another log */
};

/*
 * ring_new() - read the log that a descriptor is of, from its oldest event on
 * @fd: taken in any case: closed with the ring, or at once where there will be none
 * Return: 0, -EBADMSG where it is no log, -EPROTONOSUPPORT where it is one of another version or machine, or another
 * negative errno.
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
 * where a newer broker has continued it with types of events that are not known here; both for good.
 */
int ring_next(struct ring *ring, struct fb_event *event);

/*
 * ring_seek() - go on behind a cursor
 * The next event is that with the number @seq + 1, or, where it is no longer there, the exact loss up to the oldest one.
 * Return: 0, RING_E_EPOCH, -ERANGE where @seq itself is still to come (either leaves it where it was), -EBADMSG,
 * -EPROTONOSUPPORT as above.
 */
int ring_seek(struct ring *ring, uint64_t epoch, uint64_t seq);
