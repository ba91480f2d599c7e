// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The broker, with a source that gets its tasks from standard input: linked with all of forkbusd, instead of its replay
 * source (--source=replay:-), so that everything except the source is measured.
 *
 * Each line on standard input, "COUNT RATE TICK_USEC USERS", is a task: COUNT events, of processes of USERS users in turn,
 * RATE a second, those of a tick together; or, with a RATE of 0, in batches as fast as they can be made. Each is answered on
 * standard output with a JSON line when all are published:
 *
 *   {"beganUsec":…,"endUsec":…}     CLOCK_MONOTONIC
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "source/source.h"

#include "base/clock.h"
#include "tests/bench/lib/life.h"
#include "tests/bench/lib/pace.h"

#define BATCH 256 /* as replay has it */

static struct bench_source {
	struct source source;
	struct hub *hub;
	struct event *timer, *asked;
	int timer_fd; /* libevent's own timers go by milliseconds */
	struct pace pace;
	unsigned int users;
	uint64_t next;
} bench;

static void again(uint64_t usec)
{
	const struct itimerspec after = {
		.it_value = { (time_t)(usec / USEC_PER_SEC), (long)(usec % USEC_PER_SEC * NSEC_PER_USEC) },
	};

	if (usec > 0)
		timerfd_settime(bench.timer_fd, 0, &after, NULL);
	else
		event_active(bench.timer, EV_TIMEOUT, 0);
}

static void on_time(evutil_socket_t fd, short what, void *userdata)
{
	uint64_t due = pace_due(&bench.pace, BATCH), expired;
	struct fb_event event;

	(void)userdata;
	if (what & EV_READ)
		(void)!read(fd, &expired, sizeof(expired));
	for (uint64_t i = 0; i < due; i++) {
		life_event(&event, bench.next++, bench.users);
		hub_publish(bench.hub, &event);
	}
	bench.pace.done += due;
	if (due > 0)
		hub_flush(bench.hub);
	if (!pace_ends(&bench.pace)) {
		again(pace_wait(&bench.pace));
		return;
	}
	printf("{\"beganUsec\":%llu,\"endUsec\":%llu}\n", (unsigned long long)bench.pace.began_usec,
	       (unsigned long long)now_usec());
	fflush(stdout);
}

static void on_asked(evutil_socket_t fd, short what, void *userdata)
{
	char line[256];
	ssize_t n = read(fd, line, sizeof(line) - 1);

	(void)what, (void)userdata;
	line[n > 0 ? n : 0] = '\0';
	if (n <= 0 || !pace_begin(&bench.pace, line) || sscanf(line, "%*u %*u %*u %u", &bench.users) != 1 ||
	    bench.users == 0) {
		event_del(bench.asked);
		return;
	}
	again(0);
}

static int bench_start(struct source **ret, struct hub *hub, struct event_base *base,
		       const struct source_options *options)
{
	(void)options;
	bench.source.ops = &replay_source;
	bench.hub = hub;
	bench.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	bench.timer = event_new(base, bench.timer_fd, EV_READ | EV_PERSIST, on_time, NULL);
	bench.asked = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_asked, NULL);
	if (!bench.timer || !bench.asked)
		return -ENOMEM;
	event_add(bench.timer, NULL);
	event_add(bench.asked, NULL);
	hub_source_changed(hub, "bench", "started", NULL);
	hub_flush(hub);
	*ret = &bench.source;
	return 0;
}

static void bench_arm(struct source *source)
{
	(void)source;
}

static void bench_describe(const struct source *source, struct json_builder *object)
{
	(void)source, (void)object;
}

static struct source *bench_stop(struct source *source)
{
	if (source) {
		event_free(bench.timer);
		event_free(bench.asked);
	}
	return NULL;
}

static bool bench_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX])
{
	found[0] = advice[0] = '\0';
	return true;
}

const struct source_ops replay_source = {
	.name = "replay",
	.supported = HUB_ARMED_ALWAYS,
	.start = bench_start,
	.arm = bench_arm,
	.describe = bench_describe,
	.stop = bench_stop,
	.probe = bench_probe,
};
