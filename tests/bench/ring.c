// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ring [ROUNDS [EVENTS]] - what readers of the mapped log cost the broker under a flat-out replay
 *
 * The broker's bus publishes events as fast as it can, in batches, while nobody, one, or a thousand read the log, in turn, for
 * ROUNDS (5) rounds of EVENTS (2,000,000). What counts is the processor time of the thread that writes, for an event; the
 * readers, in processes of their own, are there to be woken, and mostly to be lapped. Ends with the ratio of the medians of a
 * thousand and of one, beside the ratio of the dearest round and the median of one reader, which is what chance does.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/lib/ring.h"
#include "core/bus.h"
#include "util/clock.h"

#define LOG_SIZE   (16 * 1024 * 1024)
#define BATCH	   64
#define HOSTS_MAX  4
#define ROUNDS_MAX 101
#define READ_ONCE  4096 /* then it is the next one's turn */

static uint64_t n_events = 2000000;
static const unsigned int readers[] = { 0, 1, 1000 };
#define KINDS (sizeof(readers) / sizeof(readers[0]))

/* What the readers of a round did; shared with them. */
static struct tally {
	uint64_t ready, events, lost, wakes;
} * tally;

static void expect(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(1);
}

static void read_some(struct ring *ring)
{
	uint64_t events = 0, lost = 0;
	struct fb_event event;
	int r = 0;

	while ((r == 0 || r == RING_E_LOST) && events < READ_ONCE) {
		r = ring_next(ring, &event);
		events += r == 0;
		lost += r == RING_E_LOST ? event.count : 0;
	}
	__atomic_fetch_add(&tally->events, events, __ATOMIC_RELAXED);
	__atomic_fetch_add(&tally->lost, lost, __ATOMIC_RELAXED);
	__atomic_fetch_add(&tally->wakes, 1, __ATOMIC_RELAXED);
}

/* A process of @n readers, until it is killed. */
static void host(const struct log *log, unsigned int n)
{
	struct ring **rings = calloc(n, sizeof(*rings));
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ready[16];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	expect(rings && epoll >= 0, "memory");
	for (unsigned int i = 0; i < n; i++) {
		struct epoll_event wanted = { .events = EPOLLIN };

		expect(ring_new(&rings[i], log_share(log)) == 0, "ring_new");
		expect(ring_seek(rings[i], log_epoch(log), log_next(log) - 1) == 0, "ring_seek");
		wanted.data.ptr = rings[i];
		expect(epoll_ctl(epoll, EPOLL_CTL_ADD, ring_fd(rings[i]), &wanted) == 0, "epoll_ctl");
		read_some(rings[i]);
	}
	__atomic_fetch_add(&tally->ready, n, __ATOMIC_SEQ_CST);
	for (;;) {
		int woken = epoll_wait(epoll, ready, 16, -1);

		for (int i = 0; i < woken; i++)
			read_some(ready[i].data.ptr);
	}
}

/* The life of a process, three events of usual size. */
static void publish(struct bus *bus, uint64_t n)
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
	bus_publish(bus, &event);
}

/* Return: processor time of this thread for an event, in ns. */
static double measure(struct bus *bus)
{
	static uint64_t n;
	uint64_t began = clock_usec(CLOCK_THREAD_CPUTIME_ID);

	for (uint64_t end = n + n_events; n < end; n++) {
		publish(bus, n);
		if (n % BATCH == 0)
			bus_flush(bus);
	}
	bus_flush(bus);
	return (double)(clock_usec(CLOCK_THREAD_CPUTIME_ID) - began) * 1000 / (double)n_events;
}

static double run(struct bus *bus, unsigned int n)
{
	unsigned int hosts = n < HOSTS_MAX ? n : HOSTS_MAX;
	pid_t pids[HOSTS_MAX];
	double result;

	memset(tally, 0, sizeof(*tally));
	for (unsigned int i = 0; i < hosts; i++) {
		pids[i] = fork();
		expect(pids[i] >= 0, "fork");
		if (pids[i] == 0)
			host(bus->log, n / hosts);
	}
	while (__atomic_load_n(&tally->ready, __ATOMIC_SEQ_CST) < n)
		usleep(1000);
	usleep(100000);
	result = measure(bus);
	for (unsigned int i = 0; i < hosts; i++)
		kill(pids[i], SIGKILL);
	for (unsigned int i = 0; i < hosts; i++)
		waitpid(pids[i], NULL, 0);
	printf("%5u readers: %7.1f ns an event; they were told %llu, lost %llu, in %llu turns\n", n, result,
	       (unsigned long long)tally->events, (unsigned long long)tally->lost,
	       (unsigned long long)tally->wakes);
	return result;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char *argv[])
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 5;
	static double results[KINDS][ROUNDS_MAX];
	char directory[] = "/dev/shm/forkbus-ring-XXXXXX", path[64];
	struct log *log = NULL;
	struct bus *bus = NULL;

	if (argc > 2)
		n_events = strtoull(argv[2], NULL, 10);
	expect(rounds > 0 && rounds <= ROUNDS_MAX && n_events > 0, "ROUNDS, EVENTS");
	setvbuf(stdout, NULL, _IOLBF, 0);
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	expect(tally != MAP_FAILED && mkdtemp(directory), "memory");
	snprintf(path, sizeof(path), "%s/log", directory);
	expect(log_open(&log, path, LOG_SIZE, (gid_t)-1) == 0, "log_open");
	(void)unlink(path);
	(void)rmdir(directory);
	expect(bus_new(&bus, log, 1 << 20) == 0, "bus_new");

	(void)measure(bus); /* once round, so that all pages are there */
	for (unsigned int round = 0; round < rounds; round++)
		for (unsigned int kind = 0; kind < KINDS; kind++)
			results[kind][round] = run(bus, readers[kind]);
	for (unsigned int kind = 0; kind < KINDS; kind++)
		qsort(results[kind], rounds, sizeof(double), compare);
	printf("1000 readers to 1, in processor time of the broker: %.3f; the dearest round of 1 to its "
	       "median: %.3f; "
	       "1 to none: %.3f\n",
	       results[2][rounds / 2] / results[1][rounds / 2],
	       results[1][rounds - 1] / results[1][rounds / 2],
	       results[1][rounds / 2] / results[0][rounds / 2]);
	bus_free(bus);
	return 0;
}
