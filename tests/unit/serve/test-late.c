// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>

#include "core/priority.h"
#include "core/slice.h"
#include "serve/late.h"

#define MANY 3

static struct event_base *base;
static struct late late;
static struct late_entry entries[MANY];
static unsigned int done[8 * MANY], n_done; /* number of the entry * 10 + what */
static unsigned int again;		    /* of how many runs the entry is added again */

static void on_run(struct late_entry *entry, unsigned int what)
{
	done[n_done++] = (unsigned int)(entry - entries) * 10 + what;
	if (again > 0) {
		again--;
		late_add(&late, entry, what);
	}
}

static int set_up(void **state)
{
	struct event_config *config = event_config_new();

	(void)state;
	/* As the broker's: otherwise an event that activates itself is handled without an end. */
	assert_int_equal(event_config_set_max_dispatch_interval(config, NULL, 2, PRIORITY_DELIVERY), 0);
	base = event_base_new_with_config(config);
	event_config_free(config);
	assert_int_equal(event_base_priority_init(base, _PRIORITY_MAX), 0);
	assert_int_equal(late_init(&late, base, on_run), 0);
	for (unsigned int i = 0; i < MANY; i++)
		entries[i] = (struct late_entry){ 0 };
	n_done = again = 0;
	slice_turn_began = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	late_done(&late);
	event_base_free(base);
	slice_turn_began = 0;
	return 0;
}

static void run(void)
{
	while (event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE) > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void test_order(void **state)
{
	(void)state;
	late_add(&late, &entries[1], LATE_WRITE);
	late_add(&late, &entries[0], LATE_READ);
	late_add(&late, &entries[2], LATE_READ);
	/* Another thing to do does not change the place. */
	late_add(&late, &entries[1], LATE_READ);
	late_add(&late, &entries[1], LATE_READ);
	again = 1;
	run();
	assert_int_equal(n_done, 5);
	assert_int_equal(done[0], 10 + LATE_READ);
	assert_int_equal(done[1], 0 + LATE_READ);
	assert_int_equal(done[2], 20 + LATE_READ);
	/* The other thing before the same thing again. */
	assert_int_equal(done[3], 10 + LATE_WRITE);
	assert_int_equal(done[4], 10 + LATE_READ);
	for (unsigned int i = 0; i < MANY; i++)
		assert_int_equal(entries[i].what, 0);
}

static void test_drop(void **state)
{
	(void)state;
	late_drop(&late, &entries[0], LATE_READ);
	late_add(&late, &entries[0], LATE_READ);
	late_add(&late, &entries[1], LATE_READ | LATE_WRITE);
	late_drop(&late, &entries[0], LATE_READ | LATE_WRITE);
	late_drop(&late, &entries[1], LATE_READ);
	run();
	assert_int_equal(n_done, 1);
	assert_int_equal(done[0], 10 + LATE_WRITE);
}

static void on_end(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what, (void)userdata;
	event_base_loopbreak(base);
}

/* In a turn of the loop that is long already, nothing is begun. */
static void test_long_turn(void **state)
{
	struct event *end = event_new(base, -1, 0, on_end, NULL);

	(void)state;
	event_priority_set(end, PRIORITY_LATE);
	late_add(&late, &entries[0], LATE_READ);
	event_active(end, EV_TIMEOUT, 0);
	slice_turn_began = monotonic_nsec() - SLICE_TURN_NSEC;
	event_base_loop(base, 0);
	event_free(end);
	assert_int_equal(n_done, 0);
	slice_turn_began = 0;
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(n_done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_turn, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("late", tests, NULL, NULL);
}
