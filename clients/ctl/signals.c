// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "signals.h"

static volatile sig_atomic_t stop, resized;

/*
 * Without SA_RESTART, so that a write to a full pipe ends too. It may have taken a part, after which stdio
 * writes the rest, or it may begin only now, after the last look at @stop: so SIGALRM goes on interrupting what waits.
 */
static void take_stop(int number)
{
	(void)number;
	stop = 1;
	alarm(1);
}

static void take_resized(int number)
{
	(void)number;
	resized = 1;
}

void signals_init(void)
{
	/* A second one kills. */
	const struct sigaction noted = { .sa_handler = take_stop, .sa_flags = (int)SA_RESETHAND };
	const struct sigaction again = { .sa_handler = take_stop };
	const struct sigaction restarted = { .sa_handler = take_resized, .sa_flags = SA_RESTART };
	const struct sigaction ignored = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &noted, NULL);
	sigaction(SIGTERM, &noted, NULL);
	sigaction(SIGALRM, &again, NULL);
	sigaction(SIGWINCH, &restarted, NULL);
	sigaction(SIGPIPE, &ignored, NULL);
}

bool signals_stop(void)
{
	return stop;
}

bool signals_resized(void)
{
	bool was = resized;

	resized = 0;
	return was;
}

/* How long it is until then. Return: NULL for ever. */
static const struct timespec *time_left(struct timespec *left, uint64_t until_usec)
{
	uint64_t now_usec, usec;

	if (until_usec == UINT64_MAX)
		return NULL;
	now_usec = clock_usec(CLOCK_MONOTONIC);
	usec = until_usec > now_usec ? until_usec - now_usec : 0;
	left->tv_sec = (time_t)(usec / USEC_PER_SEC);
	left->tv_nsec = (long)(usec % USEC_PER_SEC * 1000);
	return left;
}

int signals_wait(int fd, int out, uint64_t until_usec)
{
	struct timespec left;
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = out } };
	sigset_t mask, old;
	int r = -EINTR;

	/* Blocked between the question and the wait, so that none comes unseen in between. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGWINCH);
	sigprocmask(SIG_BLOCK, &mask, &old);
	if (!stop)
		r = ppoll(fds, 2, time_left(&left, until_usec), &old) < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);

	if (r < 0)
		return r;
	return fds[1].revents & (POLLERR | POLLHUP | POLLNVAL) ? SIGNALS_E_CLOSED : 0;
}
