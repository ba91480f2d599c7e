// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/chunk.h"
#include "tests/unit/random-event.h"

static char buffer[4 * ENCODED_MAX];

/* Packed events, one after the other, are the same after unpacking. */
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

/* Fields that may not be seen are absent. */
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

/* Its alignment does not matter. */
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

static void test_json(void **state)
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

static struct chunk_pool *pool;
static struct chunk_list lists[3];

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		LIST_INIT(&lists[i]);
	return chunk_pool_new(&pool, 0);
}

static int teardown(void **state)
{
	(void)state;
	assert_null(chunk_pool_free(pool));
	return 0;
}

static size_t count(const struct chunk_list *list)
{
	const struct chunk *chunk;
	size_t n = 0;

	LIST_FOREACH(chunk, list, link) {
		assert_ptr_equal(chunk->owner, list);
		n++;
	}
	return n;
}

static void test_pool(void **state)
{
	struct chunk *chunks[5];

	(void)state;
	assert_null(chunk_pool_free(NULL));
	/* There are at least four, even if fewer are requested. */
	for (uint64_t i = 0; i < 4; i++) {
		chunks[i] = chunk_take(pool, &lists[i % 2], 10 * i);
		assert_int_equal(chunks[i]->first, 10 * i);
		assert_int_equal(chunks[i]->next, 10 * i);
		assert_int_equal(chunks[i]->n_lines, 0);
		assert_false(chunks[i]->open);
		assert_int_equal(chunk_size(chunks[i]), 0);
		for (uint64_t j = 0; j < i; j++)
			assert_ptr_not_equal(chunks[i], chunks[j]);
	}
	assert_int_equal(count(&lists[0]), 2);
	assert_int_equal(count(&lists[1]), 2);

	/* The least recently used one is evicted, from any view. */
	chunks[2]->open = true;
	chunk_use(pool, chunks[0]);
	assert_ptr_equal(chunk_take(pool, &lists[2], 1), chunks[1]);
	assert_int_equal(count(&lists[1]), 1);
	assert_ptr_equal(chunk_take(pool, &lists[2], 2), chunks[2]);
	assert_false(chunks[2]->open);
	assert_int_equal(count(&lists[0]), 1);
	assert_int_equal(count(&lists[2]), 2);

	/* A chunk that is given back is the next to be taken. */
	chunk_drop(pool, chunks[2]);
	assert_int_equal(count(&lists[2]), 1);
	assert_ptr_equal(chunk_take(pool, &lists[0], 3), chunks[2]);
	assert_int_equal(count(&lists[0]), 2);
	assert_ptr_equal(chunk_take(pool, &lists[1], 3), chunks[3]);
}

static void add(struct chunk *chunk, uint64_t seq, const char *comm)
{
	char expected[EVENT_JSON_MAX];
	size_t before = chunk_size(chunk), size;
	struct fb_event event;

	fb_event_init(&event, EVENT_COMM);
	EVENT_SET(&event, seq, seq);
	EVENT_SET(&event, uid, 1000);
	EVENT_SET(&event, comm, event_text(comm));
	chunk_add(chunk, &encoding_lines, seq, &event, ~EVENT_BIT(uid));
	size = event_json_encode(&event, ~EVENT_BIT(uid), expected);
	assert_int_equal(chunk_size(chunk), before + size + 1);
	assert_memory_equal(chunk->data + before, expected, size);
	assert_int_equal(chunk->data[before + size], '\n');
	chunk->next = seq + 1;
}

static void test_lines(void **state)
{
	struct chunk *chunk = chunk_take(pool, &lists[0], 5);

	(void)state;
	assert_int_equal(chunk_line_from(chunk, 0), 0);
	assert_int_equal(chunk_line_from(chunk, 9), 0);
	for (uint64_t seq = 7; !chunk_is_full(chunk); seq += 3)
		add(chunk, seq, "sh");
	/* They are short: their number is what ends it. */
	assert_int_equal(chunk->n_lines, CHUNK_LINES);
	for (uint64_t seq = 0; seq < 3 * CHUNK_LINES + 20; seq++) {
		unsigned int line = 0;

		while (line < chunk->n_lines && chunk->lines[line].seq < seq)
			line++;
		assert_int_equal(chunk_line_from(chunk, seq), line);
	}
}

/* The longest line still fits into one that is nearly full. */
static void test_full(void **state)
{
	static char text[EVENT_PATH_MAX];
	struct chunk *chunk = chunk_take(pool, &lists[0], 1);
	struct fb_event event;
	field_set has = FIELDS_ALL;
	uint64_t seq = 1;

	(void)state;
	memset(text, 'x', EVENT_TEXT_MAX);
	while (chunk_size(chunk) < CHUNK_FULL - 1000)
		add(chunk, seq++, text);
	while (chunk_size(chunk) < CHUNK_FULL - 60)
		add(chunk, seq++, "");
	assert_false(chunk_is_full(chunk));
	memset(text, 0xff, sizeof(text));
	memset(&event, 0xff, sizeof(event));
	fb_event_init(&event, EVENT_HEARTBEAT);
	has >>= 64 - _EVENT_FIELD_MAX;
	event.has = has;
	EVENT_FIELD_FOREACH(field, has) {
		const struct event_field_info *info = &event_fields[field];
		void *value = (char *)&event + info->offset;

		if (info->kind == EVENT_KIND_TEXT || info->kind == EVENT_KIND_PATH ||
		    info->kind == EVENT_KIND_ARGS)
			*(struct event_text *)value = (struct event_text){ text, sizeof(text) };
		else if (info->kind == EVENT_KIND_BOOL)
			*(bool *)value = true;
	}
	chunk_add(chunk, &encoding_lines, seq, &event, FIELDS_ALL);
	assert_true(chunk_is_full(chunk));
	assert_true(chunk_size(chunk) <= CHUNK_SIZE);
	assert_true(chunk_size(chunk) > 100000);
}

static void test_find(void **state)
{
	struct chunk_list *list = &lists[0];
	struct chunk *a, *b, *c;

	(void)state;
	assert_null(chunk_find(list, 1));
	assert_int_equal(chunk_limit(list, 1), UINT64_MAX);
	a = chunk_take(pool, list, 10);
	add(a, 12, "sh");
	a->next = 20;
	b = chunk_take(pool, list, 30);
	add(b, 35, "sh");
	b->next = 40;
	c = chunk_take(pool, list, 50);
	add(c, 50, "sh");
	c->next = 51;
	c->open = true;
	assert_null(chunk_find(list, 9));
	assert_ptr_equal(chunk_find(list, 10), a);
	assert_ptr_equal(chunk_find(list, 19), a);
	/* It could go on where it ends. */
	assert_ptr_equal(chunk_find(list, 20), a);
	assert_null(chunk_find(list, 21));
	assert_ptr_equal(chunk_find(list, 40), b);
	/* An open chunk gets all new events. */
	assert_ptr_equal(chunk_find(list, 50), c);
	assert_ptr_equal(chunk_find(list, 5000), c);
	assert_int_equal(chunk_limit(list, 0), 10);
	assert_int_equal(chunk_limit(list, 10), 30);
	assert_int_equal(chunk_limit(list, 20), 30);
	assert_int_equal(chunk_limit(list, 40), 50);
	assert_int_equal(chunk_limit(list, 50), UINT64_MAX);
	/* One that covers a place goes before one that ends there, and a full one does not go on. */
	a->next = 30;
	assert_ptr_equal(chunk_find(list, 30), b);
	chunk_drop(pool, b);
	assert_ptr_equal(chunk_find(list, 30), a);
	while (!chunk_is_full(a))
		add(a, 29, "sh");
	a->next = 30;
	assert_null(chunk_find(list, 30));
	assert_ptr_equal(chunk_find(list, 29), a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_json),
		cmocka_unit_test_setup_teardown(test_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
	};

	return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
