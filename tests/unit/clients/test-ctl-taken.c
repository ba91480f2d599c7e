// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clients/ctl/taken.h"
#include "clients/lib/held.h"
#include "tests/unit/random-event.h"

static const uint64_t hidden = EVENT_BIT(instance) | EVENT_BIT(kernel_seq);

static void take(struct fb_event *taken, const struct fb_event *event)
{
	static struct taken_store store;
	struct forkbus_event held = {};

	assert_int_equal(held_set(&held, event), 0);
	taken_event(taken, &store, &held);
	/* Texts point into what is held: looked at before it goes. */
	assert_true(fb_event_equal(taken, event));
	held_done(&held);
}

/* Every field comes through, and none that is not there. */
static void test_all_fields(void **state)
{
	static struct random_event random_one;
	struct random random = { 1 };
	struct fb_event taken;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		random_event(&random, &random_one, ~hidden);
		if (forkbus_type_from_name(event_type_name(random_one.event.type)) != 0)
			take(&taken, &random_one.event);
	}
}

static void test_arguments(void **state)
{
	static const char list[] = "tar\0-c\0\0a b";
	struct fb_event event, taken;

	(void)state;
	fb_event_init(&event, EVENT_EXEC);
	EVENT_SET(&event, args, ((struct event_text){ list, sizeof(list) - 1 }));
	take(&taken, &event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests_name("ctl-taken", tests, NULL, NULL);
}
