// SPDX-License-Identifier: LGPL-2.1-or-later
/* If a broker is killed at any moment, its log can be continued. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "log-format.h"
#include "tests/unit/support.h"

#define SIZE	  ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)
#define FILE_SIZE (LOG_HEADER_SIZE + SIZE)
#define SALT	  7
#define APPENDS	  3 /* that are shown together */

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	return mkdir(test_path("copy"), 0700);
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(test_path("copy/log"));
	(void)unlink(test_path("copy/lock"));
	test_dir_remove();
	return 0;
}

static struct log *reopen(const char *name)
{
	struct log *log = NULL;

	assert_int_equal(log_open(&log, test_path(name), SIZE, (gid_t)-1), 0);
	assert_string_equal(log_origin_reason(log), "");
	return log;
}

static void append_next(struct log *log)
{
	static struct random_event made;

	seq_event(&made, log_next(log), SALT);
	log_append(log, &made.event);
}

/* Check that its content has no gaps and is correct. Return: the number of events. */
static uint64_t check(const struct log *log)
{
	struct log_place place;
	struct fb_event event;
	uint64_t n = 0;

	if (log_seek(log, log_first(log), &place) == 0)
		for (; log_read(log, &place, &event) == 0; n++) {
			assert_int_equal(event.seq, log_first(log) + n);
			assert_true(seq_event_is(&event, SALT));
		}
	assert_int_equal(n, log_next(log) - log_first(log));
	return n;
}

static uint64_t head_of(const unsigned char *file)
{
	return position_of(&((const struct log_header *)file)->head);
}

static const unsigned char *map_file(void)
{
	int fd = open(test_path("log"), O_RDONLY | O_CLOEXEC);
	const unsigned char *file = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(file != MAP_FAILED);
	close(fd);
	return file;
}

static void unmap_file(const unsigned char *file)
{
	munmap((void *)(uintptr_t)file, FILE_SIZE);
}

static pid_t fork_writer(void)
{
	pid_t pid = fork();
	struct log *log;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (log_open(&log, test_path("log"), SIZE, (gid_t)-1) != 0)
		_exit(1);
	for (;;)
		append_next(log);
}

static void test_kill(void **state)
{
	struct random random = { 5 };
	const unsigned char *file;
	uint64_t next = 1, epoch;
	unsigned int laps = 0;
	struct log *log;

	(void)state;
	log = reopen("log");
	epoch = log_epoch(log);
	file = map_file();
	log_free(log);
	for (int run = 0; run < 60; run++) {
		struct timespec wait = { 0, (long)random_below(&random, 5000000) };
		pid_t pid = fork_writer();
		uint64_t head = head_of(file);
		int status;

		/* Half of them are killed before they have written, maybe, the others after. */
		while (run % 2 && head_of(file) == head)
			sched_yield();
		nanosleep(&wait, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		log = reopen("log");
		assert_true(log_epoch(log) == epoch);
		assert_true(log_next(log) >= next);
		laps += log_first(log) >= next;
		next = log_next(log);
		check(log);
		/* It goes on from there. */
		append_next(log);
		assert_int_equal(log_next(log), ++next);
		check(log);
		log_free(log);
	}
	unmap_file(file);
	assert_true(next > 120);
	print_message("# %llu events, %u of 60 writers came all the way round\n", (unsigned long long)next,
		      laps);
}

/* A process that stops, appends a few events and makes them visible, and stops again. */
static pid_t fork_stepped(void)
{
	pid_t pid = fork();
	struct log *log;
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (log_open(&log, test_path("log"), SIZE, (gid_t)-1) != 0 ||
		    ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(1);
		raise(SIGSTOP);
		for (int i = 0; i < APPENDS; i++)
			append_next(log);
		log_show(log);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSTOPPED(status))
		return pid;
	/* Tracing is not allowed everywhere. */
	return 0;
}

/* A broker opens the file in its current state. Return: the sequence number that is next. */
static uint64_t check_moment(const unsigned char *file, uint64_t epoch, uint64_t next)
{
	uint64_t result;
	struct log *log;

	file_write(test_path("copy/log"), file, FILE_SIZE);
	log = reopen("copy/log");
	assert_true(log_epoch(log) == epoch);
	result = log_next(log);
	assert_in_range(result, next, next + APPENDS);
	check(log);
	append_next(log);
	append_next(log);
	check(log);
	log_free(log);
	return result;
}

/* Stop the writer of a few events after each instruction that changed the file. Return: at how many moments. */
static unsigned int step(const unsigned char *file, uint64_t epoch, uint64_t next)
{
	static unsigned char before[FILE_SIZE];
	unsigned int moments = 0;
	uint64_t seen = next;
	pid_t pid = fork_stepped();
	int status = 0;

	if (pid == 0)
		return 0;
	memcpy(before, file, FILE_SIZE);
	do {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status));
		if (memcmp(before, file, FILE_SIZE) == 0)
			continue;
		memcpy(before, file, FILE_SIZE);
		assert_true(check_moment(file, epoch, next) >= seen);
		seen = check_moment(file, epoch, next);
		moments++;
	} while (WSTOPSIG(status) != SIGSTOP);
	assert_int_equal(seen, next + APPENDS);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return moments;
}

static void test_every_step(void **state)
{
	const unsigned char *file;
	unsigned int moments = 0, entered = 0, within = 0;
	struct log *log = reopen("log");
	uint64_t epoch = log_epoch(log);

	(void)state;
	/* Under valgrind there are too many instructions, and they are not those of the broker. */
	if (in_valgrind()) {
		log_free(log);
		return;
	}
	file = map_file();
	/* The log has wrapped once, so each new block overwrites another. */
	while (log_first(log) == 1)
		append_next(log);
	while (entered < 3 || within < 3) {
		uint64_t next = log_next(log), head = head_of(file);
		static struct random_event made;
		static unsigned char packed[EVENT_PACKED_MAX];
		size_t size;
		bool enters;

		seq_event(&made, next, SALT);
		EVENT_SET(&made.event, seq, next);
		size = sizeof(struct log_record) + (fb_event_pack(&made.event, packed) + 7) / 8 * 8;
		enters = head % LOG_BLOCK_SIZE + size > LOG_BLOCK_SIZE;
		if (size > 1000 || (enters ? entered : within) >= 3) {
			append_next(log);
			continue;
		}
		log_free(log);
		moments += step(file, epoch, next);
		enters ? entered++ : within++;
		log = reopen("log");
		check(log);
	}
	log_free(log);
	unmap_file(file);
	print_message("# %u moments of %d appends\n", moments, 6 * APPENDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_step, setup, teardown),
	};

	return cmocka_run_group_tests_name("log-crash", tests, NULL, NULL);
}
