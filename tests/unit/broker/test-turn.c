// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "turn.h"

#define MSEC NSEC_PER_MSEC

static FILE *schedstat;

/* How long the thread has waited for a processor, in place of the kernel's answer. */
static void set_delayed(struct turn *turn, uint64_t nsec)
{
	rewind(schedstat);
	fprintf(schedstat, "%-20u %-20llu 7\n", 123U, (unsigned long long)nsec);
	fflush(schedstat);
	turn->schedstat = fileno(schedstat);
}

/* A turn in which the thread blocks. */
static void begin(struct turn *turn, uint64_t now)
{
	turn_begin(turn, now);
	turn->blocked--;
}

static int setup(void **state)
{
	(void)state;
	schedstat = tmpfile();
	return schedstat ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fclose(schedstat);
	return 0;
}

static void test_longest(void **state)
{
	struct turn turn = { .schedstat = -1 };

	(void)state;
	begin(&turn, 100 * MSEC);
	turn_end(&turn, 130 * MSEC);
	begin(&turn, 1000 * MSEC);
	turn_end(&turn, 1007 * MSEC);
	assert_int_equal(turn.longest_nsec, 30 * MSEC);
	assert_int_equal(turn.recent_nsec, 30 * MSEC);

	turn_forget_recent(&turn);
	begin(&turn, 2000 * MSEC);
	turn_end(&turn, 2009 * MSEC);
	assert_int_equal(turn.longest_nsec, 30 * MSEC);
	assert_int_equal(turn.recent_nsec, 9 * MSEC);
}

static void test_end_alone(void **state)
{
	struct turn turn = { .schedstat = -1 };

	(void)state;
	turn_end(&turn, 130 * MSEC);
	begin(&turn, 1000 * MSEC);
	turn_end(&turn, 1001 * MSEC);
	turn_end(&turn, 9000 * MSEC);
	assert_int_equal(turn.longest_nsec, 1 * MSEC);
}

static void test_other_programs(void **state)
{
	struct turn turn = {};

	(void)state;
	set_delayed(&turn, 500 * MSEC);
	begin(&turn, 1000 * MSEC);
	set_delayed(&turn, 560 * MSEC);
	turn_end(&turn, 1100 * MSEC);
	assert_int_equal(turn.longest_nsec, 40 * MSEC);

	/* Waits before the turn are not part of it. */
	set_delayed(&turn, 5000 * MSEC);
	begin(&turn, 3000 * MSEC);
	turn_end(&turn, 3090 * MSEC);
	assert_int_equal(turn.longest_nsec, 90 * MSEC);

	/* A number that was read a moment before the turn may include more than the turn. */
	begin(&turn, 4000 * MSEC);
	set_delayed(&turn, 9000 * MSEC);
	turn_end(&turn, 4005 * MSEC);
	assert_int_equal(turn.recent_nsec, 90 * MSEC);
}

/* If the thread never blocked, this program did not do what took the rest of the time. */
static void test_not_blocked(void **state)
{
	struct turn turn = { .schedstat = -1 };
	uint64_t cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);

	(void)state;
	turn_begin(&turn, 1000 * MSEC);
	while (clock_usec(CLOCK_THREAD_CPUTIME_ID) - cpu < 5 * USEC_PER_MSEC)
		;
	turn_end(&turn, 100000 * MSEC);
	assert_in_range(turn.longest_nsec, 4 * MSEC, 1000 * MSEC);
}

static void on_busy(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what, (void)userdata;
	usleep(30000);
}

static void test_loop(void **state)
{
	const struct timeval later = { .tv_usec = 300000 };
	struct event_base *base = event_base_new();
	struct event *idle = event_new(base, -1, 0, on_busy, NULL);
	struct turn turn;

	(void)state;
	turn_watch(&turn);
	assert_true(turn.schedstat >= 0);
	event_add(idle, &later);
	event_base_loop(base, EVLOOP_ONCE);
	/* The turn ends when the loop waits again. */
	assert_int_equal(turn.longest_nsec, 0);
	event_add(idle, &later);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_in_range(turn.longest_nsec, 30 * MSEC, 299 * MSEC);

	turn_watch(NULL);
	turn_forget_recent(&turn);
	event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(turn.recent_nsec, 0);
	turn_done(&turn);
	event_free(idle);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest),	       cmocka_unit_test(test_end_alone),
		cmocka_unit_test(test_other_programs), cmocka_unit_test(test_not_blocked),
		cmocka_unit_test(test_loop),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
