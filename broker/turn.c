// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/slice.h"

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

static uint64_t nsec_of(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * NSEC_PER_SEC + (uint64_t)time->tv_usec * NSEC_PER_USEC;
}

/* Return: the processor time that the thread has used. */
static uint64_t read_usage(long *blocked)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_THREAD, &usage);
	*blocked = usage.ru_nvcsw;
	return nsec_of(&usage.ru_utime) + nsec_of(&usage.ru_stime);
}

/* What of the time on a clock was the turn's. */
static uint64_t own_time(struct turn *turn, uint64_t took, uint64_t now)
{
	uint64_t delayed = turn->delayed, cpu;
	long blocked;

	read_delayed(turn, now);
	delayed = turn->delayed - delayed;
	cpu = read_usage(&blocked) - turn->cpu_nsec;
	if (blocked == turn->blocked)
		return cpu < took ? cpu : took;
	return delayed < took ? took - delayed : 0;
}

void turn_watch(struct turn *turn)
{
	watched = turn;
	slice_turn_began = 0;
	if (!turn)
		return;
	*turn = (struct turn){ .schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC) };
}

void turn_done(struct turn *turn)
{
	watched = NULL;
	slice_turn_began = 0;
	turn->schedstat = close_fd(turn->schedstat);
}

void turn_forget_recent(struct turn *turn)
{
	turn->recent_nsec = 0;
}

void turn_begin(struct turn *turn, uint64_t now)
{
	slice_turn_began = turn->began = now;
	turn->cpu_nsec = read_usage(&turn->blocked);
	if (now - turn->delayed_at > LONG_NSEC)
		read_delayed(turn, now);
}

void turn_end(struct turn *turn, uint64_t now)
{
	uint64_t took = now - turn->began;

	if (turn->began == 0)
		return;
	turn->began = 0;
	if (took > LONG_NSEC)
		took = own_time(turn, took, now);
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
