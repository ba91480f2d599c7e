// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ring [ROUNDS [EVENTS [MSEC]]] - the cost of readers of the mapped log for the broker, paced and flat out
 *
 * The broker's hub publishes while no reader, one, ten, a hundred, or a thousand read the log, in turn, for ROUNDS (5)
 * rounds: at 1,000 events a second one by one, and at 20,000 in batches of 100, for MSEC (300) each, and EVENTS (2,000,000)
 * as fast as it can. The result is the processor time of the writing thread per event, including the system calls with which
 * it waits for the next events. The readers, in other processes, only have to be woken; flat out, the writer mostly
 * overtakes them. Wakes are those of one reader a second, where a wake at either end of the time counts as within it. Ends,
 * for flat out, with the ratio of the medians of a thousand and of one, beside that of the worst round and the median of one
 * reader, which is what chance does.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/hub.h"
#include "tests/bench/lib/pace.h"
#include "tests/bench/lib/reader-hosts.h"

#define LOG_SIZE    (16 * 1024 * 1024)
#define BATCH	    64
#define ROUNDS_MAX  101
#define SETTLE_USEC 50000

static const unsigned int readers[] = { 0, 1, 10, 100, 1000 };
#define KINDS (sizeof(readers) / sizeof(readers[0]))

/* The last one is flat out: its readers are left far behind. */
static struct {
	const char *name;
	struct pace pace;
} paces[] = {
	{ "1000/s:", { .rate = 1000, .tick_usec = 1000 } },
	{ "20000/s:", { .rate = 20000, .tick_usec = 5000 } },
	{ "flat out:", { .count = 2000000, .tick_usec = 1 } },
};
#define PACES (sizeof(paces) / sizeof(paces[0]))

static uint64_t early_usec; /* CLOCK_MONOTONIC: when the readers are to be woken, 0: they are */

static struct reader_tally *tally;

static void expect(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(1);
}

/* The life of a process, three events of usual size. */
static void publish(struct hub *hub, uint64_t n)
{
	static const enum event_type types[] = { EVENT_FORK, EVENT_EXEC, EVENT_EXIT };
	struct fb_event event;

	fb_event_init(&event, types[n % 3]);
	EVENT_SET(&event, time_usec, 1700000000000000 + n);
	EVENT_SET(&event, boot_usec, n);
	EVENT_SET(&event, pid, (uint32_t)(n / 3 % 30000) + 2);
	EVENT_SET(&event, start_usec, n / 3 * 100000);
	EVENT_SET(&event, ppid, 1);
	EVENT_SET(&event, uid, 1000);
	EVENT_SET(&event, gid, 1000);
	EVENT_SET(&event, comm, event_text("worker"));
	EVENT_SET(&event, cgroup, event_text("/system.slice/one-or-another.service"));
	if (event.type == EVENT_EXEC)
		EVENT_SET(&event, exe, event_text("/usr/lib/one-or-another/worker"));
	if (event.type == EVENT_EXIT) {
		EVENT_SET(&event, code, 0);
		EVENT_SET(&event, elapsed_usec, n);
	}
	hub_publish(hub, &event);
}

static void on_early(void *userdata, uint64_t usec)
{
	(void)userdata;
	early_usec = now_usec() + usec;
}

static const struct hub_ops hub_ops = { .early = on_early };

/* For this time, or until the readers have to be woken, which is also work of the broker. */
static void wait_for(struct hub *hub, uint64_t usec)
{
	uint64_t now = now_usec();
	bool early = early_usec > 0 && early_usec <= now + usec;

	if (early)
		usec = early_usec > now ? early_usec - now : 0;
	if (usec > 0)
		usleep((useconds_t)usec);
	if (early) {
		early_usec = 0;
		hub_wake(hub);
	}
}

/* Return: processor time of this thread for an event, in ns. */
static double measure(struct hub *hub, struct pace pace)
{
	static uint64_t n;
	uint64_t began = clock_usec(CLOCK_THREAD_CPUTIME_ID), usec;

	for (pace.began_usec = now_usec(); !pace_ends(&pace);) {
		uint64_t due = pace_due(&pace, pace.rate > 0 ? pace.count : BATCH);

		for (uint64_t end = n + due; n < end; n++)
			publish(hub, n);
		pace.done += due;
		if (due > 0)
			hub_flush(hub);
		usec = pace_wait(&pace);
		if (usec > 0)
			wait_for(hub, usec);
	}
	return (double)(clock_usec(CLOCK_THREAD_CPUTIME_ID) - began) * 1000 / (double)pace.count;
}

/* At one pace, while @n read. */
static double measure_with(struct hub *hub, unsigned int n, unsigned int pace)
{
	double result, wakes = 0;
	uint64_t began;

	hub_wake(hub);
	usleep(SETTLE_USEC);
	tally->events = tally->lost = tally->wakes = 0;
	began = now_usec();
	result = measure(hub, paces[pace].pace);
	if (n > 0)
		wakes = (double)tally->wakes / n /
			((double)(now_usec() - began + LOG_WAKE_USEC) / USEC_PER_SEC);
	printf("%4u readers, %-9s %7.1f ns an event, %6.1f wakes a second; they received %llu, lost %llu\n",
	       n, paces[pace].name, result, wakes, (unsigned long long)tally->events,
	       (unsigned long long)tally->lost);
	return result;
}

/* @results: of each pace */
static void run(struct hub *hub, unsigned int n, double results[static PACES])
{
	struct reader_hosts hosts;

	reader_hosts_start(&hosts, hub_log(hub), n, tally);
	for (unsigned int pace = 0; pace < PACES; pace++)
		if (paces[pace].pace.count > 0)
			results[pace] = measure_with(hub, n, pace);
	reader_hosts_stop(&hosts);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct hub *start(void)
{
	char directory[] = "/dev/shm/forkbus-ring-XXXXXX", path[64];
	struct log *log = NULL;
	struct hub *hub = NULL;

	expect(mkdtemp(directory), "memory");
	snprintf(path, sizeof(path), "%s/log", directory);
	expect(log_open(&log, path, LOG_SIZE, (gid_t)-1) == 0, "log_open");
	(void)unlink(path);
	(void)rmdir(directory);
	expect(hub_new(&hub, log, 1 << 20) == 0, "hub_new");
	hub_set_ops(hub, &hub_ops, NULL);
	return hub;
}

/* Of all rounds, flat out. */
static void sum_up(double results[KINDS][ROUNDS_MAX][PACES], unsigned long rounds)
{
	double sorted[KINDS][ROUNDS_MAX];

	for (unsigned int kind = 0; kind < KINDS; kind++) {
		for (unsigned int round = 0; round < rounds; round++)
			sorted[kind][round] = results[kind][round][PACES - 1];
		qsort(sorted[kind], rounds, sizeof(double), compare);
	}
	printf("1000 readers to 1, in processor time of the broker: %.3f; the most expensive round of 1 to "
	       "its "
	       "median: %.3f; 1 to none: %.3f\n",
	       sorted[KINDS - 1][rounds / 2] / sorted[1][rounds / 2],
	       sorted[1][rounds - 1] / sorted[1][rounds / 2], sorted[1][rounds / 2] / sorted[0][rounds / 2]);
}

int main(int argc, char *argv[])
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 5;
	unsigned long msec = argc > 3 ? strtoul(argv[3], NULL, 10) : 300;
	static double results[KINDS][ROUNDS_MAX][PACES];
	struct pace *flat_out = &paces[PACES - 1].pace;
	struct hub *hub;

	if (argc > 2)
		flat_out->count = strtoull(argv[2], NULL, 10);
	expect(rounds > 0 && rounds <= ROUNDS_MAX && flat_out->count > 0, "ROUNDS, EVENTS");
	for (unsigned int pace = 0; pace < PACES - 1; pace++)
		paces[pace].pace.count = paces[pace].pace.rate * msec / 1000;
	setvbuf(stdout, NULL, _IOLBF, 0);
	tally = reader_tally_new();
	hub = start();
	(void)measure(hub, *flat_out); /* once round, so that all pages are there */
	for (unsigned int round = 0; round < rounds; round++)
		for (unsigned int kind = 0; kind < KINDS; kind++)
			run(hub, readers[kind], results[kind][round]);
	sum_up(results, rounds);
	hub_free(hub);
	return 0;
}
