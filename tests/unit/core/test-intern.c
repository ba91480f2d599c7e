// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <uthash.h>

#include "base/clock.h"
#include "core/intern.h"
#include "tests/unit/support.h"

static int setup(void **state)
{
	return intern_new((struct intern **)state);
}

static int teardown(void **state)
{
	assert_null(intern_free(*state));
	return 0;
}

static void test_shared(void **state)
{
	struct intern *intern = *state;
	char bytes[] = "/usr/bin/trueXYZ";
	const char *a = intern_get(intern, bytes, 13);
	const char *b = intern_get(intern, "/usr/bin/true", 13);
	const char *c = intern_get(intern, "/usr/bin/tru", 12);

	assert_string_equal(a, "/usr/bin/true");
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_string_equal(c, "/usr/bin/tru");
	assert_int_equal(intern_count(intern), 2);
	assert_null(intern_put(intern, a));
	assert_string_equal(b, "/usr/bin/true");
	intern_put(intern, b);
	intern_put(intern, c);
	assert_null(intern_put(intern, NULL));
}

static void test_empty(void **state)
{
	struct intern *intern = *state;
	const char *a = intern_get(intern, "", 0);
	const char *b = intern_get(intern, "x", 0);

	assert_string_equal(a, "");
	assert_ptr_equal(a, b);
	intern_put(intern, a);
	intern_put(intern, b);
}

/* The latest unused texts stay, but not more than the limit. */
static void test_idle(void **state)
{
	struct intern *intern = *state;
	const char *held = intern_get(intern, "held", 4);
	const char *back;
	char text[32];

	for (unsigned int i = 0; i < 4 * INTERN_IDLE_MAX; i++) {
		int len = snprintf(text, sizeof(text), "%u", i);

		intern_put(intern, intern_get(intern, text, (size_t)len));
	}
	assert_int_equal(intern_count(intern), INTERN_IDLE_MAX + 1);
	assert_string_equal(held, "held");
	/* An unused text that is used again is not dropped because of others. */
	back = intern_get(intern, text, strlen(text));
	assert_int_equal(intern_count(intern), INTERN_IDLE_MAX + 1);
	for (unsigned int i = 0; i < 2 * INTERN_IDLE_MAX; i++) {
		char other[32];
		int len = snprintf(other, sizeof(other), "other %u", i);

		intern_put(intern, intern_get(intern, other, (size_t)len));
	}
	assert_string_equal(back, text);
	assert_int_equal(intern_count(intern), INTERN_IDLE_MAX + 2);
	intern_put(intern, back);
	intern_put(intern, held);
}

#define MANY 4000

static char names[MANY][24];

/* Like the names of files that a user chooses: those with the same rest of uthash's own function, which everyone knows. */
static void choose(bool equal)
{
	static const char digits[] = "0123456789abcdef";
	char name[] = "/tmp/00000000";
	unsigned int n = 0, hash;

	for (uint32_t i = 0; n < MANY; i++) {
		for (int digit = 0; digit < 8; digit++)
			name[5 + digit] = digits[i >> 4 * digit & 15];
		HASH_JEN(name, (unsigned int)sizeof(name) - 1, hash);
		if (equal && hash % 4096 != 0)
			continue;
		memcpy(names[n++], name, sizeof(name));
	}
}

/* In µs of the processor's time. */
static uint64_t time_to_find(struct intern *intern)
{
	const char *text = NULL;
	uint64_t begin, time;

	for (unsigned int i = 0; i < MANY; i++)
		(void)intern_get(intern, names[i], strlen(names[i]));
	begin = clock_usec(CLOCK_THREAD_CPUTIME_ID);
	for (unsigned int i = 0; i < MANY; i++)
		(void)intern_get(intern, names[i], strlen(names[i]));
	time = clock_usec(CLOCK_THREAD_CPUTIME_ID) - begin;
	for (unsigned int i = 0; i < MANY; i++) {
		text = intern_get(intern, names[i], strlen(names[i]));
		for (int n = 0; n < 3; n++)
			intern_put(intern, text);
	}
	return time;
}

/* Names that are chosen to collide do not make the search long. It took 100 times as long. */
static void test_chosen(void **state)
{
	uint64_t any, chosen;

	/* There it takes too long, and nothing is new to it. */
	if (in_valgrind())
		return;
	choose(false);
	any = time_to_find(*state);
	choose(true);
	chosen = time_to_find(*state);
	print_message("# %.1f times the time\n", (double)chosen / (double)any);
	assert_true(chosen < 20 * any);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chosen, setup, teardown),
	};

	return cmocka_run_group_tests_name("intern", tests, NULL, NULL);
}
