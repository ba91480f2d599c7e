// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/chunk.h"
#include "core/encoding.h"
#include "tests/unit/random-event.h"

static char buffer[4 * ENCODED_MAX];

/* What is packed is the same when it is unpacked, one behind the other. */
static void test_packed(void **state)
{
	struct random random = { .state = 1 };
	static struct random_event events[3];
	struct fb_event back;
	size_t size, at;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size = at = 0;
		for (int i = 0; i < 3; i++) {
			random_event(&random, &events[i], FIELDS_ALL);
			size += encoding_packed.put(&events[i].event, FIELDS_ALL, buffer + size);
			assert_in_range(size, 1, sizeof(buffer));
		}
		for (int i = 0; i < 3; i++) {
			at += encoding_unpack(&back, buffer + at);
			assert_true(fb_event_equal(&events[i].event, &back));
		}
		assert_int_equal(at, size);
	}
}

/* What may not be seen is not there. */
static void test_mask(void **state)
{
	struct random random = { .state = 2 };
	static struct random_event random_one;
	struct fb_event *event = &random_one.event, back;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		field_set mask = random_next(&random), has;

		random_event(&random, &random_one, FIELDS_ALL);
		has = event->has;
		(void)encoding_packed.put(event, mask, buffer);
		(void)encoding_unpack(&back, buffer);
		assert_true(back.has == (has & mask));
		assert_true(event->has == has);
		event->has &= mask;
		assert_true(fb_event_equal(event, &back));
	}
}

/* Where it lies does not matter. */
static void test_unaligned(void **state)
{
	struct fb_event event, back;

	(void)state;
	fb_event_init(&event, EVENT_FORK);
	EVENT_SET(&event, pid, 4711);
	EVENT_SET(&event, start_usec, UINT64_C(1) << 50);
	EVENT_SET(&event, comm, event_text("a name"));
	for (size_t at = 0; at < 16; at++) {
		size_t size = encoding_packed.put(&event, FIELDS_ALL, buffer + at);

		assert_int_equal(encoding_unpack(&back, buffer + at), size);
		assert_true(fb_event_equal(&event, &back));
	}
}

static void test_lines(void **state)
{
	static const struct {
		const struct encoding *encoding;
		const char *wanted;
	} cases[] = {
		{ &encoding_lines, "{\"type\":\"fork\",\"pid\":4711}\n" },
		{ &encoding_members, "{\"type\":\"fork\",\"pid\":4711},\n" },
	};
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_FORK);
	EVENT_SET(&event, pid, 4711);
	EVENT_SET(&event, uid, 5);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t size = cases[i].encoding->put(&event, ~EVENT_BIT(uid), buffer);

		assert_int_equal(size, strlen(cases[i].wanted));
		assert_memory_equal(buffer, cases[i].wanted, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests_name("encoding", tests, NULL, NULL);
}
