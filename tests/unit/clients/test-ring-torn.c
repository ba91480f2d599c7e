// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Readers of a tiny log that is written as fast as possible, so that events are overwritten while readers copy them: no torn
 * data may be returned as an event, and all missing events must be reported.
 *
 * RING_SEC= sets the number of seconds, by default 3. The test runs longer if a reader had no loss until then, since threads
 * may be scheduled unfairly, as valgrind does. Half of the readers use the mapping of the writer, since ThreadSanitizer
 * detects races by address.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "clients/lib/ring.h"
#include "core/log.h"
#include "log-reader.h"
#include "tests/unit/support.h"

#define SIZE	  ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)
#define FILE_SIZE (LOG_HEADER_SIZE + SIZE)
#define READERS	  4
#define MORE_SEC  100 /* the longest time to wait for a loss of each reader */

static struct log *log_of_broker;
static const void *written; /* the writer's mapping */
static uint64_t deadline_usec;
static pthread_barrier_t
	opened;	      /* all readers have opened the log while it is empty, so the first event is number 1 */
static uint64_t last; /* atomic: the number of the last event, set at the end of the writer */

struct reader {
	pthread_t thread;
	unsigned int number;
	uint64_t events, lost;
	uint64_t losses;   /* atomic */
	const char *wrong; /* atomic: the first error */
};

static struct reader readers[READERS];

/* The writer's mapping of a file, as the kernel reports it. */
static const void *find_mapping(const char *path)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t found = 0, from;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, path) && strstr(line, "rw-s") && sscanf(line, "%" SCNxPTR, &from) == 1)
			found = from;
	fclose(maps);
	assert_true(found != 0);
	return (const void *)found;
}

static int setup(void **state)
{
	const char *seconds = getenv("RING_SEC");

	(void)state;
	test_dir_make();
	assert_int_equal(log_open(&log_of_broker, test_path("log"), SIZE, (gid_t)-1), 0);
	written = find_mapping(test_path("log"));
	deadline_usec =
		clock_usec(CLOCK_MONOTONIC) + (seconds ? strtoull(seconds, NULL, 10) : 3) * USEC_PER_SEC;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_of_broker = log_free(log_of_broker);
	test_dir_remove();
	return 0;
}

static uint64_t sum(struct event_text text, uint64_t seq)
{
	uint64_t result = seq * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < text.len; i++)
		result = (result ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3);
	return result;
}

/* Events are mostly short, some have the maximum length; each contains its checksum. */
static void make(struct fb_event *event, uint64_t seq)
{
	static char text[EVENT_PATH_MAX];
	struct random random = { seq };
	size_t len =
		random_below(&random, 16) ? random_below(&random, 200) : random_below(&random, sizeof(text));

	for (size_t i = 0; i < len; i += 1 + i / 8)
		text[i] = (char)random_next(&random);
	fb_event_init(event, EVENT_EXEC);
	EVENT_SET(event, pid, (uint32_t)seq);
	EVENT_SET(event, cgroup, ((struct event_text){ text, len }));
	EVENT_SET(event, kernel_seq, sum(event->cgroup, seq));
	EVENT_SET(event, instance, ~event->kernel_seq);
}

static bool is_right(const struct fb_event *event)
{
	return event->type == EVENT_EXEC &&
	       event->has == (EVENT_BIT(seq) | EVENT_BIT(pid) | EVENT_BIT(cgroup) | EVENT_BIT(kernel_seq) |
			      EVENT_BIT(instance)) &&
	       event->pid == (uint32_t)event->seq && event->kernel_seq == sum(event->cgroup, event->seq) &&
	       event->instance == ~event->kernel_seq;
}

static uint64_t losses(const struct reader *reader)
{
	return __atomic_load_n(&reader->losses, __ATOMIC_RELAXED);
}

static const char *wrong(const struct reader *reader)
{
	return __atomic_load_n(&reader->wrong, __ATOMIC_RELAXED);
}

static void set_wrong(struct reader *reader, const char *what)
{
	__atomic_store_n(&reader->wrong, what, __ATOMIC_RELAXED);
}

/* Was everything seen that the test waits for? */
static bool is_enough(uint64_t now)
{
	bool all = true;

	for (unsigned int i = 0; i < READERS; i++)
		if (losses(&readers[i]) == 0 && !wrong(&readers[i]))
			all = false;
	return now >= deadline_usec && (all || now - deadline_usec >= MORE_SEC * USEC_PER_SEC);
}

static void *write_on(void *userdata)
{
	struct fb_event event;
	uint64_t now;

	(void)userdata;
	do {
		for (int i = 0; i < 50; i++) {
			make(&event, log_next(log_of_broker));
			log_append(log_of_broker, &event);
		}
		now = clock_usec(CLOCK_MONOTONIC);
		(void)log_wake(log_of_broker, now);
	} while (!is_enough(now));
	__atomic_store_n(&last, log_next(log_of_broker) - 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Check one result of either kind of reader, as ring_next() returns it. Return: whether all was read. */
static bool take(struct reader *reader, int r, const struct fb_event *event, uint64_t *seq)
{
	if (r == 0 && event->seq != *seq + 1)
		set_wrong(reader, "a number is missing");
	else if (r == 0 && !is_right(event))
		set_wrong(reader, "an event is torn");
	else if (r == RING_E_LOST && (event->from != *seq + 1 || event->to < event->from ||
				      event->count != event->to - event->from + 1))
		set_wrong(reader, "a loss is not what is missing");
	else if (r != 0 && r != RING_E_LOST && r != RING_E_END)
		set_wrong(reader, "the log looks damaged");
	if (r == 0) {
		*seq = event->seq;
		reader->events++;
	} else if (r == RING_E_LOST) {
		*seq = event->to;
		reader->lost += event->count;
		__atomic_store_n(&reader->losses, reader->losses + 1, __ATOMIC_RELAXED);
	}
	/* Sometimes the reader is too slow. */
	if (r == 0 && reader->events % 5000 == reader->number * 1000)
		usleep(1000);
	return wrong(reader) || (*seq == __atomic_load_n(&last, __ATOMIC_ACQUIRE) && *seq > 0);
}

/* Set up a ring without a mapping of its own. */
static int next_of_log(struct log_reader *log, struct fb_event *event)
{
	struct log_loss loss;
	int r = log_reader_next(log, event);

	if (r == LOG_READER_E_END)
		return RING_E_END;
	if (r != LOG_READER_E_LAPPED)
		return r == 0 ? 0 : -EBADMSG;
	if (log_reader_resume(log, &loss) != 0)
		return -EBADMSG;
	if (loss.count == 0)
		return next_of_log(log, event);
	event->from = loss.from;
	event->to = loss.to;
	event->count = loss.count;
	return RING_E_LOST;
}

static void *read_log(void *userdata)
{
	struct reader *reader = userdata;
	struct log_reader *log = malloc(sizeof(*log));
	struct fb_event event;
	uint64_t seq = 0;

	if (!log || log_reader_init(log, written, FILE_SIZE) != 0)
		set_wrong(reader, "there is no log");
	pthread_barrier_wait(&opened);
	while (!wrong(reader) && !take(reader, next_of_log(log, &event), &event, &seq))
		;
	free(log);
	return NULL;
}

static void *read_ring(void *userdata)
{
	struct reader *reader = userdata;
	struct fb_event event;
	struct ring *ring = NULL;
	struct random random = { reader->number };
	uint64_t seq = 0;

	if (ring_new(&ring, log_share(log_of_broker)) != 0)
		set_wrong(reader, "there is no ring");
	pthread_barrier_wait(&opened);
	while (!wrong(reader) && !take(reader, ring_next(ring, &event), &event, &seq)) {
		/* Sometimes the reader seeks back: older events are returned unchanged, or are reported as lost. */
		if (random_below(&random, 20000) == 0) {
			seq -= random_below(&random, seq < 3000 ? seq + 1 : 3000);
			if (ring_seek(ring, log_epoch(log_of_broker), seq) != 0)
				set_wrong(reader, "it cannot go back");
		}
	}
	ring_free(ring);
	return NULL;
}

static void test_flat_out(void **state)
{
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_barrier_init(&opened, NULL, READERS + 1), 0);
	for (unsigned int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .number = i };
		assert_int_equal(
			pthread_create(&readers[i].thread, NULL, i % 2 ? read_ring : read_log, &readers[i]),
			0);
	}
	pthread_barrier_wait(&opened);
	assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
	assert_int_equal(pthread_join(writer, NULL), 0);
	for (unsigned int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		print_message("# reader %u: %" PRIu64 " events, %" PRIu64 " lost in %" PRIu64 " pieces%s%s\n",
			      i, readers[i].events, readers[i].lost, losses(&readers[i]),
			      wrong(&readers[i]) ? ": " : "", wrong(&readers[i]) ? wrong(&readers[i]) : "");
	}
	for (unsigned int i = 0; i < READERS; i++) {
		assert_null(wrong(&readers[i]));
		assert_true(readers[i].events > 0);
		assert_true(losses(&readers[i]) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flat_out, setup, teardown),
	};

	return cmocka_run_group_tests_name("ring-torn", tests, NULL, NULL);
}
