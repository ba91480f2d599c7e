// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "clients/lib/ring.h"
#include "core/log.h"
#include "log-format.h"
#include "tests/unit/allocations.h"
#include "tests/unit/support.h"

#define SIZE ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)
#define SALT 17

static struct log *log_of_broker;
static struct ring *ring;
static struct fb_event event;

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	log_of_broker = NULL;
	ring = NULL;
	assert_int_equal(log_open(&log_of_broker, test_path("log"), SIZE, (gid_t)-1), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ring = ring_free(ring);
	log_of_broker = log_free(log_of_broker);
	test_dir_remove();
	return 0;
}

static void append(uint64_t n)
{
	static struct random_event made;

	for (; n > 0; n--) {
		seq_event(&made, log_next(log_of_broker), SALT);
		log_append(log_of_broker, &made.event);
	}
	log_show(log_of_broker);
}

static void wake(void)
{
	(void)log_wake(log_of_broker, UINT64_MAX / 2);
}

/* Write until the log no longer has a sequence number */
static void forget(uint64_t seq)
{
	while (log_first(log_of_broker) <= seq)
		append(1);
}

static void begin(void)
{
	ring_free(ring);
	ring = NULL;
	assert_int_equal(ring_new(&ring, log_share(log_of_broker)), 0);
}

static bool readable(int wait_msec)
{
	struct pollfd pollfd = { .fd = ring_fd(ring), .events = POLLIN };

	return poll(&pollfd, 1, wait_msec) == 1 && pollfd.revents == POLLIN;
}

static void assert_next(uint64_t seq)
{
	assert_int_equal(ring_next(ring, &event), 0);
	assert_int_equal(event.seq, seq);
	assert_true(seq_event_is(&event, SALT));
}

static void assert_is_loss(const char *reason, uint64_t from, uint64_t to)
{
	assert_int_equal(event.type, EVENT_LOST);
	assert_true(event.has == (EVENT_BIT(reason) | EVENT_BIT(from) | EVENT_BIT(to) | EVENT_BIT(count)));
	assert_true(event_text_equal(event.reason, event_text(reason)));
	assert_int_equal(event.from, from);
	assert_int_equal(event.to, to);
	assert_int_equal(event.count, to - from + 1);
}

static void assert_lost(const char *reason, uint64_t from, uint64_t to)
{
	assert_int_equal(ring_next(ring, &event), RING_E_LOST);
	assert_is_loss(reason, from, to);
}

/*
 * The events from @next on were overwritten: those that the ring had already copied come, then the loss of the others.
 * Return: the number of the event that comes then.
 */
static uint64_t assert_lapped(uint64_t next)
{
	for (; ring_next(ring, &event) == 0; next++) {
		assert_int_equal(event.seq, next);
		assert_true(seq_event_is(&event, SALT));
		if (next >= log_first(log_of_broker))
			return next + 1;
	}
	assert_is_loss("slow", next, log_first(log_of_broker) - 1);
	return log_first(log_of_broker);
}

/* Check all events from a sequence number on. */
static void assert_rest(uint64_t seq)
{
	for (; seq < log_next(log_of_broker); seq++)
		assert_next(seq);
	assert_int_equal(ring_next(ring, &event), RING_E_END);
}

static void test_read(void **state)
{
	(void)state;
	begin();
	assert_true(readable(0));
	assert_int_equal(ring_next(ring, &event), RING_E_END);
	assert_false(readable(0));
	assert_int_equal(ring_next(ring, &event), RING_E_END);
	append(3);
	wake();
	assert_true(readable(5000));
	assert_next(1);
	/* As long as there are events. */
	assert_true(readable(0));
	assert_rest(2);
	assert_false(readable(0));
	append(10000);
	begin();
	assert_rest(log_first(log_of_broker));
	assert_null(ring_free(NULL));
}

/* A reader that was overtaken continues at the tail, and the numbers add up, each time. */
static void test_lapped(void **state)
{
	uint64_t next = 1;

	(void)state;
	begin();
	append(40);
	for (int lap = 0; lap < 30; lap++) {
		for (int i = 0; i < lap % 4 * 13; i++)
			assert_next(next++);
		forget(next + (uint64_t)lap % 3 * 500);
		next = assert_lapped(next);
		/* Before its first event */
		if (lap % 5 == 4) {
			forget(next);
			next = assert_lapped(next);
		}
	}
	assert_rest(next);
	next = log_next(log_of_broker);
	append(1);
	assert_rest(next);
	/* A reader that has read nothing yet has no loss. */
	begin();
	forget(log_first(log_of_broker));
	assert_rest(log_first(log_of_broker));
}

/* The reader was at the end of a block that the writer released: nothing is lost. */
static void test_lapped_without_loss(void **state)
{
	uint64_t next;

	(void)state;
	begin();
	assert_int_equal(ring_next(ring, &event), RING_E_END);
	for (;;) {
		uint64_t used = log_used(log_of_broker);

		append(1);
		/* The writer has begun the next block: events before it can be read, and no others. */
		if (used / LOG_BLOCK_SIZE != (log_used(log_of_broker) - 1) / LOG_BLOCK_SIZE)
			break;
		assert_next(log_next(log_of_broker) - 1);
	}
	next = log_next(log_of_broker) - 1;
	while (log_first(log_of_broker) < next)
		append(1);
	assert_int_equal(log_first(log_of_broker), next);
	assert_rest(next);
}

static void test_seek(void **state)
{
	uint64_t epoch = log_epoch(log_of_broker), first, next;

	(void)state;
	/* Empty */
	begin();
	assert_int_equal(ring_seek(ring, epoch + 1, 0), RING_E_EPOCH);
	assert_int_equal(ring_seek(ring, epoch, 1), -ERANGE);
	assert_int_equal(ring_next(ring, &event), RING_E_END);
	assert_false(readable(0));
	assert_int_equal(ring_seek(ring, epoch, 0), 0);
	assert_true(readable(0));
	assert_int_equal(ring_next(ring, &event), RING_E_END);
	append(1);
	assert_rest(1);
	assert_int_equal(ring_seek(ring, epoch, 0), 0);
	assert_rest(1);

	for (unsigned int fill = 1; fill < 9000; fill += fill < 20 ? 1 : 1511) {
		append(fill);
		first = log_first(log_of_broker);
		next = log_next(log_of_broker);
		for (uint64_t seq = first; seq < next; seq += 1 + (next - first) / 50) {
			assert_int_equal(ring_seek(ring, epoch, seq), 0);
			if (seq + 1 < next)
				assert_next(seq + 1);
		}
		/* At the head */
		assert_int_equal(ring_seek(ring, epoch, next - 2), 0);
		assert_rest(next - 1);
		assert_int_equal(ring_seek(ring, epoch, next - 1), 0);
		assert_rest(next);
		/* After the head: the position does not change. */
		assert_int_equal(ring_seek(ring, epoch, first), 0);
		assert_int_equal(ring_seek(ring, epoch, next), -ERANGE);
		assert_int_equal(ring_seek(ring, epoch, next + 100000), -ERANGE);
		assert_int_equal(ring_seek(ring, epoch, UINT64_MAX), -ERANGE);
		assert_int_equal(ring_seek(ring, epoch + 1, 1), RING_E_EPOCH);
		assert_rest(first + 1);
		/* Just before the tail */
		if (first > 2) {
			assert_int_equal(ring_seek(ring, epoch, first - 1), 0);
			assert_next(first);
			assert_int_equal(ring_seek(ring, epoch, first - 2), 0);
			assert_lost("expired", first - 1, first - 1);
			assert_next(first);
			assert_int_equal(ring_seek(ring, epoch, 0), 0);
			assert_lost("expired", 1, first - 1);
			assert_rest(first);
			/* The last seek decides. */
			assert_int_equal(ring_seek(ring, epoch, 0), 0);
			assert_int_equal(ring_seek(ring, epoch, first), 0);
			assert_rest(first + 1);
		}
	}
	/* Events are overwritten between the seek and the read. */
	first = log_first(log_of_broker);
	assert_int_equal(ring_seek(ring, epoch, 0), 0);
	forget(first);
	assert_lost("expired", 1, first - 1);
	assert_rest(assert_lapped(first));
}

static void test_refused(void **state)
{
	unsigned int descriptors = count_descriptors();
	unsigned char *image;
	size_t size;
	int ends[2];

	(void)state;
	assert_int_equal(ring_new(&ring, -1), -EBADF);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(ring_new(&ring, ends[0]), -EBADMSG);
	close(ends[1]);
	assert_int_equal(ring_new(&ring, open("/", O_RDONLY | O_DIRECTORY)), -EBADMSG);
	assert_int_equal(ring_new(&ring, open("/dev/zero", O_RDONLY)), -EBADMSG);
	image = file_read(test_path("log"), &size);
	for (size_t cut = 0; cut < size; cut += 1 + cut * 3) {
		file_write(test_path("cut"), image, cut);
		assert_int_equal(ring_new(&ring, open(test_path("cut"), O_RDONLY)), -EBADMSG);
	}
	((struct log_header *)image)->version++;
	file_write(test_path("cut"), image, size);
	assert_int_equal(ring_new(&ring, open(test_path("cut"), O_RDONLY)), -EPROTONOSUPPORT);
	assert_int_equal(ring_new(&ring, open(test_path("cut"), O_WRONLY)), -EBADF);
	free(image);
	assert_null(ring);
	assert_int_equal(count_descriptors(), descriptors);
}

static void test_damaged(void **state)
{
	struct log_header *header;
	uint64_t head;
	int fd;

	(void)state;
	append(10);
	begin();
	fd = open(test_path("log"), O_RDWR);
	header = mmap(NULL, LOG_HEADER_SIZE + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(header != MAP_FAILED);
	assert_rest(1);
	head = header->head;
	header->head = 0;
	assert_int_equal(ring_next(ring, &event), -EBADMSG);
	header->head = head;
	append(1);
	memset((unsigned char *)header + LOG_HEADER_SIZE, 0xff, LOG_BLOCK_SIZE);
	assert_int_equal(ring_next(ring, &event), -EBADMSG);
	assert_int_equal(ring_seek(ring, log_epoch(log_of_broker), 3), -EBADMSG);
	munmap(header, LOG_HEADER_SIZE + SIZE);
	close(fd);
}

/* A log that is cut is damaged, whatever part of it is left: what the ring had copied comes, and then the error. */
static void test_cut(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		static const off_t lengths[] = { 0,
						 100,
						 LOG_HEADER_SIZE,
						 LOG_HEADER_SIZE + 8,
						 LOG_HEADER_SIZE + LOG_BLOCK_SIZE / 4,
						 LOG_HEADER_SIZE + LOG_BLOCK_SIZE };
		int r, asked = i % 2;

		append(6000);
		begin();
		assert_next(log_first(log_of_broker));
		if (asked)
			assert_rest(log_first(log_of_broker) + 1);
		/* The writer itself would not survive it. */
		log_of_broker = log_free(log_of_broker);
		assert_int_equal(truncate(test_path("log"), lengths[i]), 0);
		if (asked && lengths[i] < LOG_HEADER_SIZE)
			assert_true(readable(5000));
		while ((r = ring_next(ring, &event)) == 0)
			assert_true(seq_event_is(&event, SALT));
		/* After its end was read, a log that is not read further has no error yet. */
		if (!asked || lengths[i] < LOG_HEADER_SIZE)
			assert_int_equal(r, -EBADMSG);
		ring = ring_free(ring);
		assert_int_equal(unlink(test_path("log")), 0);
		assert_int_equal(log_open(&log_of_broker, test_path("log"), SIZE, (gid_t)-1), 0);
	}
}

/* If another broker continues the log, its reader continues, too. A new log is reported once the old one is read. */
static void test_replaced(void **state)
{
	uint64_t next;

	(void)state;
	append(2);
	begin();
	assert_rest(1);
	log_of_broker = log_free(log_of_broker);
	assert_false(readable(1500));
	assert_int_equal(log_open(&log_of_broker, test_path("log"), SIZE, (gid_t)-1), 0);
	assert_int_equal(log_origin(log_of_broker), LOG_REOPENED);
	append(1);
	wake();
	assert_true(readable(5000));
	assert_rest(3);
	/* The log is unlinked, but still written. */
	assert_int_equal(unlink(test_path("log")), 0);
	assert_false(readable(1500));
	next = log_next(log_of_broker);
	append(1);
	log_of_broker = log_free(log_of_broker);
	assert_true(readable(5000));
	assert_next(next);
	for (int i = 0; i < 3; i++) {
		int r = RING_E_END;

		for (int tries = 0; r == RING_E_END && tries < 5; tries++) {
			assert_true(readable(5000));
			r = ring_next(ring, &event);
		}
		assert_int_equal(r, RING_E_REPLACED);
		assert_true(readable(0));
	}
}

/* The truncation of a quiet file is detected without an access to the mapping. */
static void test_cut_short(void **state)
{
	(void)state;
	append(1);
	begin();
	assert_rest(1);
	assert_int_equal(truncate(test_path("log"), LOG_HEADER_SIZE), 0);
	assert_true(readable(5000));
	assert_int_equal(ring_next(ring, &event), -EBADMSG);
	/* The broker's own mapping must not be accessed either. */
	assert_int_equal(truncate(test_path("log"), (off_t)(LOG_HEADER_SIZE + SIZE)), 0);
}

/* The thread receives no signals, and ends at once in any state. */
static void test_ends(void **state)
{
	unsigned int descriptors = count_descriptors();
	uint64_t began = clock_usec(CLOCK_MONOTONIC);
	sigset_t mask;

	(void)state;
	for (int i = 0; i < 200; i++) {
		begin();
		if (i % 4 > 0)
			assert_int_equal(ring_next(ring, &event), RING_E_END);
		if (i % 4 > 1)
			usleep(200);
		if (i % 4 > 2)
			(void)log_wake(log_of_broker, (append(1), (uint64_t)i * 1000000));
		ring = ring_free(ring);
		log_of_broker = log_free(log_of_broker);
		assert_int_equal(unlink(test_path("log")), 0);
		assert_int_equal(log_open(&log_of_broker, test_path("log"), SIZE, (gid_t)-1), 0);
	}
	assert_true(clock_usec(CLOCK_MONOTONIC) - began < 60 * USEC_PER_SEC);
	assert_int_equal(count_descriptors(), descriptors);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
	assert_false(sigismember(&mask, SIGTERM));
}

static void test_fork(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	begin();
	assert_int_equal(ring_next(ring, &event), RING_E_END);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		ring_free(ring);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	append(1);
	wake();
	assert_true(readable(5000));
	assert_rest(1);
}

static void test_no_memory(void **state)
{
	unsigned int descriptors = count_descriptors();
	int r = -1;

	(void)state;
	if (!allocations_can_fail())
		return;
	append(1);
	for (unsigned long n = 1; r < 0; n++) {
		int fd = log_share(log_of_broker);

		assert_true(n < 20);
		allocations_until_failure = n;
		r = ring_new(&ring, fd);
		allocations_until_failure = 0;
		assert_true(r == 0 || ((r == -ENOMEM || r == -EAGAIN) && !ring));
		if (r < 0)
			assert_int_equal(count_descriptors(), descriptors);
	}
	assert_rest(1);
}

/* Reading events allocates no memory. The new thread may allocate some for itself when it starts. */
static void test_no_allocations(void **state)
{
	unsigned long before;

	(void)state;
	if (!allocations_are_counted())
		return;
	append(3000);
	begin();
	for (int i = 0;; i++) {
		assert_true(i < 100);
		before = allocations;
		assert_int_equal(ring_seek(ring, log_epoch(log_of_broker), 0), 0);
		while (ring_next(ring, &event) != RING_E_END)
			;
		if (allocations == before)
			break;
		usleep(1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lapped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lapped_without_loss, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_allocations, setup, teardown),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
