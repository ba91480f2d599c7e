// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "event.h"
#include "tests/unit/random-event.h"

static void types_have_names(void **state)
{
	(void)state;
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++) {
		assert_non_null(event_type_name(type));
		assert_int_equal(event_type_from_name(event_type_name(type)), type);
	}
	assert_string_equal(event_type_name(EVENT_FORK), "fork");
	assert_string_equal(event_type_name(EVENT_HEARTBEAT), "heartbeat");
	assert_null(event_type_name(EVENT_NONE));
	assert_null(event_type_name(_EVENT_TYPE_MAX));
	assert_null(event_type_name((enum event_type) - 1));
	assert_int_equal(event_type_from_name(""), EVENT_NONE);
	assert_int_equal(event_type_from_name("exi"), EVENT_NONE);
	assert_int_equal(event_type_from_name("Exit"), EVENT_NONE);
}

static void fields_are_what_the_list_says(void **state)
{
	(void)state;
	assert_int_equal(event_fields[EVENT_F_seq].offset, offsetof(struct fb_event, seq));
	assert_int_equal(event_fields[EVENT_F_exe].kind, EVENT_KIND_PATH);
	assert_int_equal(event_fields[EVENT_F_code].group, EVENT_GROUP_STATUS);
	assert_string_equal(event_fields[EVENT_F_old_uid].key, "uid");
	for (unsigned int field = 0; field < _EVENT_FIELD_MAX; field++) {
		assert_int_equal(event_fields[field].key == NULL,
				 event_fields[field].group == EVENT_GROUP_NONE);
		/* Keys and raw forms are unique within a group. */
		for (unsigned int other = 0; other < field; other++) {
			if (event_fields[field].group != event_fields[other].group ||
			    !event_fields[field].key)
				continue;
			assert_string_not_equal(event_fields[field].key, event_fields[other].key);
		}
	}
	/* The fields of a group are adjacent. */
	for (unsigned int field = 1, seen = 0; field < _EVENT_FIELD_MAX; field++) {
		unsigned int group = event_fields[field].group;

		if (group == event_fields[field - 1].group)
			continue;
		if (group != EVENT_GROUP_TOP && group != EVENT_GROUP_NONE)
			assert_int_equal(seen & 1u << group, 0);
		seen |= 1u << group;
	}
}

static void set_and_clear(void **state)
{
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_EXEC);
	assert_true(event.has == 0);
	assert_false(EVENT_HAS(&event, pid));
	EVENT_SET(&event, pid, 7);
	assert_true(EVENT_HAS(&event, pid));
	assert_int_equal(event.pid, 7);
	assert_true(event.has == EVENT_BIT(pid));
	assert_false(fb_event_is_thread(&event));
	EVENT_SET(&event, tid, 7);
	assert_false(fb_event_is_thread(&event));
	EVENT_SET(&event, tid, 8);
	assert_true(fb_event_is_thread(&event));
	EVENT_CLEAR(&event, tid);
	assert_false(EVENT_HAS(&event, tid));
	assert_true(EVENT_HAS(&event, pid));
}

static void foreach_is_in_order(void **state)
{
	field_set mask = EVENT_BIT(seq) | EVENT_BIT(comm) | EVENT_BIT(kernel_seq), seen = 0;
	unsigned int last = 0;

	(void)state;
	EVENT_FIELD_FOREACH(field, mask) {
		assert_true(seen == 0 || field > last);
		seen |= FIELD_BIT(field);
		last = field;
	}
	assert_true(seen == (EVENT_BIT(seq) | EVENT_BIT(comm) | EVENT_BIT(kernel_seq)));
	assert_int_equal(mask, 0);
}

/* The same result as the macros of <sys/wait.h>, for every status that a process can end with. */
static void status_of_wait(void **state)
{
	struct fb_event event;
	int status;

	(void)state;
	for (uint32_t code = 0; code < 256; code++) {
		fb_event_init(&event, EVENT_EXIT);
		fb_event_set_status(&event, code << 8);
		assert_true(event.has == EVENT_BIT(code));
		assert_int_equal(event.code, code);
	}
	for (uint32_t signal = 1; signal < 65; signal++) {
		for (int core = 0; core < 2; core++) {
			fb_event_init(&event, EVENT_EXIT);
			fb_event_set_status(&event, signal | (core ? 0x80 : 0));
			assert_true(event.has == (EVENT_BIT(signal) | EVENT_BIT(core_dumped)));
			assert_int_equal(event.signal, signal);
			assert_int_equal(event.core_dumped, core);
		}
	}
	/* And a status from the kernel. */
	if (fork() == 0) {
		raise(SIGKILL);
		_exit(0);
	}
	assert_true(wait(&status) > 0);
	fb_event_init(&event, EVENT_EXIT);
	fb_event_set_status(&event, (uint32_t)status);
	assert_true(event.has == (EVENT_BIT(signal) | EVENT_BIT(core_dumped)));
	assert_int_equal(event.signal, SIGKILL);
}

static void equal_means_type_fields_and_values(void **state)
{
	struct random random = { 1 };
	struct random_event a;
	struct fb_event b;
	char texts[EVENT_PACKED_MAX];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		field_set mask;

		random_event(&random, &a, FIELDS_ALL);
		/* The same texts at another address, random bytes in absent fields. */
		b = a.event;
		memcpy(texts, a.texts, sizeof(texts));
		for (unsigned int field = 0; field < _EVENT_FIELD_MAX; field++) {
			void *value = (char *)&b + event_fields[field].offset;
			bool is_text = event_fields[field].kind == EVENT_KIND_TEXT ||
				       event_fields[field].kind == EVENT_KIND_PATH ||
				       event_fields[field].kind == EVENT_KIND_ARGS;

			if (!(b.has >> field & 1))
				*(unsigned char *)value = 0xee;
			else if (is_text)
				((struct event_text *)value)->data += texts - a.texts;
		}
		assert_true(fb_event_equal(&a.event, &b));
		assert_true(fb_event_equal(&b, &a.event));
		b.type = b.type == EVENT_FORK ? EVENT_EXEC : EVENT_FORK;
		assert_int_equal(fb_event_equal(&a.event, &b), a.event.type == b.type);
		b.type = a.event.type;
		mask = a.event.has;
		EVENT_FIELD_FOREACH(field, mask) {
			struct fb_event other = b;
			char *value = (char *)&other + event_fields[field].offset;

			other.has ^= FIELD_BIT(field);
			assert_false(fb_event_equal(&a.event, &other));
			other = b;
			switch ((enum event_kind)event_fields[field].kind) {
			case EVENT_KIND_TEXT:
			case EVENT_KIND_PATH:
			case EVENT_KIND_ARGS:
				if (((struct event_text *)(void *)value)->len == 0)
					continue;
				((struct event_text *)(void *)value)->len--;
				break;
			case EVENT_KIND_BOOL:
				*value ^= 1;
				break;
			default:
				*value ^= 0x10;
			}
			assert_false(fb_event_equal(&a.event, &other));
		}
	}
}

/* The fields of the set that are present are copied; other fields of the target do not change. */
static void copy_of_fields(void **state)
{
	struct random random = { 2 };
	struct random_event from, to;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct fb_event copy, rest;
		field_set fields;

		random_event(&random, &from, FIELDS_ALL);
		random_event(&random, &to, FIELDS_ALL);
		fields = to.event.has ^ (field_set)random_next(&random) << 32 ^ random_next(&random);
		copy = rest = to.event;
		fb_event_copy_fields(&copy, &from.event, fields);
		assert_true(copy.has == (to.event.has | (from.event.has & fields)));
		/* Except for the copied fields the target has not changed, */
		rest.has &= ~(from.event.has & fields);
		copy.has &= ~(from.event.has & fields);
		assert_true(fb_event_equal(&copy, &rest));
		/* and these have the values of the source. */
		copy.has = rest.has = from.event.has & fields;
		rest = from.event;
		rest.has = copy.has;
		rest.type = copy.type;
		assert_true(fb_event_equal(&copy, &rest));
	}
}

static void pack_and_unpack(void **state)
{
	struct random random = { 2 };
	static struct random_event a;
	struct fb_event b;
	/* On the heap with the exact size, so that the sanitizer detects a read beyond it. */
	unsigned char *packed = malloc(EVENT_PACKED_MAX), *exact;
	size_t longest = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		size_t size, other;

		random_event(&random, &a, FIELDS_ALL);
		size = fb_event_pack(&a.event, packed);
		assert_in_range(size, EVENT_PACKED_FIXED, EVENT_PACKED_MAX);
		longest = size > longest ? size : longest;
		exact = malloc(size);
		memcpy(exact, packed, size);
		assert_int_equal(fb_event_unpack(&b, exact, size), 0);
		assert_true(fb_event_equal(&a.event, &b));
		free(exact);
		/* A truncated event is invalid, and so is one with extra bytes. */
		other = random_below(&random, size);
		exact = malloc(other ? other : 1);
		memcpy(exact, packed, other);
		assert_int_equal(fb_event_unpack(&b, exact, other), -EBADMSG);
		free(exact);
		exact = malloc(size + 1);
		memcpy(exact, packed, size);
		exact[size] = 0;
		assert_int_equal(fb_event_unpack(&b, exact, size + 1), -EBADMSG);
		free(exact);
	}
	assert_true(longest > EVENT_PACKED_MAX / 2);
	free(packed);
}

static void packed_texts_are_cut(void **state)
{
	static char text[EVENT_PATH_MAX + 100];
	struct fb_event event, back;
	unsigned char *packed = malloc(EVENT_PACKED_MAX);
	size_t size;

	(void)state;
	memset(text, 'x', sizeof(text));
	fb_event_init(&event, EVENT_EXEC);
#define F(_member, _kind, _group, _key, _privacy) FILL_##_kind(_member)
#define FILL_U32(_member)			  EVENT_SET(&event, _member, UINT32_MAX);
#define FILL_U64(_member)			  EVENT_SET(&event, _member, UINT64_MAX);
#define FILL_BOOL(_member)			  EVENT_SET(&event, _member, true);
#define FILL_TEXT(_member)			  EVENT_SET(&event, _member, ((struct event_text){ text, sizeof(text) }));
#define FILL_PATH(_member)			  FILL_TEXT(_member)
#define FILL_ARGS(_member)			  FILL_TEXT(_member)
#include "event-fields.h"
#undef F
	size = fb_event_pack(&event, packed);
	assert_int_equal(size, EVENT_PACKED_MAX);
	assert_int_equal(fb_event_unpack(&back, packed, size), 0);
	assert_true(back.has == event.has);
	assert_int_equal(back.comm.len, EVENT_TEXT_MAX);
	assert_int_equal(back.exe.len, EVENT_PATH_MAX);
	assert_int_equal(back.seq, UINT64_MAX);
	assert_memory_equal(back.exe.data, text, EVENT_PATH_MAX);
	free(packed);
}

/* A set has two words, and no field of the second word is defined: an event with such a field is refused. */
static void sets_are_wide(void **state)
{
	const unsigned int numbers[] = { 0, 1, 63, 64, 90, 127 };
	unsigned char packed[EVENT_PACKED_HEAD];
	field_set fields = FIELDS_NONE;
	struct fb_event event;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		fields |= FIELD_BIT(numbers[i]);
	assert_true(fields == FIELDS_WORDS(UINT64_C(0x8000000004000001), UINT64_C(0x8000000000000003)));
	EVENT_FIELD_FOREACH(field, fields)
		assert_int_equal(field, numbers[n++]);
	assert_int_equal(n, sizeof(numbers) / sizeof(*numbers));

	memset(packed, 0, sizeof(packed));
	packed[8] = EVENT_READY;
	assert_int_equal(fb_event_unpack(&event, packed, EVENT_PACKED_FIXED), 0);
	packed[8] |= EVENT_PACKED_WIDE;
	for (size_t size = 0; size <= sizeof(packed); size++)
		assert_int_equal(fb_event_unpack(&event, packed, size), -EBADMSG);
	packed[EVENT_PACKED_HEAD - 1] = 0x80;
	assert_int_equal(fb_event_unpack(&event, packed, sizeof(packed)), -EBADMSG);
}

/* Texts are never longer than the limits, even in a forged log. */
static void unpack_refuses_long_texts(void **state)
{
	const uint64_t has[] = { (uint64_t)EVENT_BIT(comm), (uint64_t)EVENT_BIT(exe) };
	const uint16_t max[] = { EVENT_TEXT_MAX, EVENT_PATH_MAX };
	static unsigned char packed[EVENT_PACKED_MAX];
	struct fb_event event;

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (uint16_t more = 0; more < 2; more++) {
			uint16_t len = (uint16_t)(max[i] + more);

			memcpy(packed, &has[i], sizeof(has[i]));
			packed[sizeof(has[i])] = EVENT_EXEC;
			memcpy(packed + EVENT_PACKED_FIXED, &len, sizeof(len));
			assert_int_equal(
				fb_event_unpack(&event, packed, EVENT_PACKED_FIXED + sizeof(len) + len),
				more ? -EBADMSG : 0);
		}
}

/* Any bytes can be unpacked without harm; an accepted event packs to the same bytes again. */
static void unpack_trusts_nothing(void **state)
{
	struct random random = { 3 };
	static struct random_event a;
	static unsigned char packed[EVENT_PACKED_MAX], again[EVENT_PACKED_MAX];
	struct fb_event b;
	int taken = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t size;
		unsigned char *exact;

		random_event(&random, &a, random_next(&random));
		size = fb_event_pack(&a.event, packed);
		for (uint64_t n = random_below(&random, 4); n > 0; n--)
			packed[random_below(&random, i % 2 ? size : EVENT_PACKED_FIXED)] =
				(unsigned char)random_next(&random);
		exact = malloc(size);
		memcpy(exact, packed, size);
		if (fb_event_unpack(&b, exact, size) == 0) {
			taken++;
			assert_in_range(b.type, EVENT_NONE + 1, _EVENT_TYPE_MAX - 1);
			assert_int_equal(fb_event_pack(&b, again), size);
			assert_memory_equal(again, packed, size);
		}
		free(exact);
	}
	assert_in_range(taken, 1000, 19000);
}

/* The word that describes a field in the log is unique, and contains its kind. */
static void words_tell_fields_apart(void **state)
{
	(void)state;
	for (unsigned int a = 0; a < _EVENT_FIELD_MAX; a++) {
		assert_int_equal(event_field_word(a) & 0xff, event_fields[a].kind + 1);
		assert_int_equal(event_field_word(a) >> 56, 0);
		for (unsigned int b = 0; b < a; b++)
			assert_true(event_field_word(a) != event_field_word(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_have_names),
		cmocka_unit_test(fields_are_what_the_list_says),
		cmocka_unit_test(set_and_clear),
		cmocka_unit_test(foreach_is_in_order),
		cmocka_unit_test(status_of_wait),
		cmocka_unit_test(equal_means_type_fields_and_values),
		cmocka_unit_test(copy_of_fields),
		cmocka_unit_test(pack_and_unpack),
		cmocka_unit_test(packed_texts_are_cut),
		cmocka_unit_test(unpack_trusts_nothing),
		cmocka_unit_test(words_tell_fields_apart),
		cmocka_unit_test(sets_are_wide),
		cmocka_unit_test(unpack_refuses_long_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
