// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/*
 * Only a turn that took longer is worth a question to the kernel. The answer from before the turn may be as old, so that a
 * result can be too small by this much at most.
 */
#define LONG_NSEC NSEC_PER_MSEC

static _Thread_local struct turn *watched;

/* The second number of schedstat, in ns. If it is not known, the time counts as the broker's own. */
static void read_delayed(struct turn *turn, uint64_t now)
{
	char text[96], *end;
	ssize_t n = turn->schedstat >= 0 ? pread(turn->schedstat, text, sizeof(text) - 1, 0) : -1;

	turn->delayed_at = now;
	if (n <= 0)
		return;
	text[n] = '\0';
	(void)strtoull(text, &end, 10);
	turn->delayed = strtoull(end, NULL, 10);
}

void turn_watch(struct turn *turn)
{
	watched = turn;
	if (!turn)
		return;
	*turn = (struct turn){ .schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC) };
}

void turn_done(struct turn *turn)
{
	watched = NULL;
	turn->schedstat = close_fd(turn->schedstat);
}

void turn_forget_recent(struct turn *turn)
{
	turn->recent_nsec = 0;
}

void turn_begin(struct turn *turn, uint64_t now)
{
	turn->began = now;
	if (now - turn->delayed_at > LONG_NSEC)
		read_delayed(turn, now);
}

void turn_end(struct turn *turn, uint64_t now)
{
	uint64_t took = now - turn->began, delayed = turn->delayed;

	if (turn->began == 0)
		return;
	turn->began = 0;
	if (took > LONG_NSEC) {
		read_delayed(turn, now);
		took -= turn->delayed - delayed < took ? turn->delayed - delayed : took;
	}
	if (took > turn->longest_nsec)
		turn->longest_nsec = took;
	if (took > turn->recent_nsec)
		turn->recent_nsec = took;
}

/*
 * libevent 2.1 has no hook before and after its wait, and clocks of its own are too coarse. So this takes the place of the C
 * library's function of this name in the whole program; it does the same.
 */
__attribute__((visibility("default"))) int epoll_wait(int fd, struct epoll_event *events, int max,
						      int timeout)
{
	int n;

	if (!watched)
		return epoll_pwait(fd, events, max, timeout, NULL);
	turn_end(watched, monotonic_nsec());
	n = epoll_pwait(fd, events, max, timeout, NULL);
	turn_begin(watched, monotonic_nsec());
	return n;
}
