// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A damaged log file is either read correctly, or refused: then a new one replaces it. If a change does not matter (the byte
 * is never read), everything is read as it was written.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "log-format.h"
#include "log-reader.h"
#include "tests/unit/support.h"

#define SIZE	  ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)
#define FILE_SIZE (LOG_HEADER_SIZE + SIZE)
#define SALT	  9

/* The log before the damage. */
static uint64_t epoch, first, next;
static unsigned char *whole;

static struct log *open_log(void)
{
	struct log *log = NULL;

	assert_int_equal(log_open(&log, test_path("log"), SIZE, (gid_t)-1), 0);
	return log;
}

static void append_next(struct log *log, bool large)
{
	static struct random_event made;
	uint64_t seq = log_next(log);

	seq_event(&made, seq, SALT);
	/* For tests of every byte, events without texts are enough. */
	if (!large) {
		EVENT_CLEAR(&made.event, exe);
		EVENT_CLEAR(&made.event, filename);
		EVENT_CLEAR(&made.event, cgroup);
	}
	log_append(log, &made.event);
}

/* Does it have exactly the written events? */
static void check_content(const struct log *log)
{
	static unsigned char expected[EVENT_PACKED_MAX], packed[EVENT_PACKED_MAX];
	static struct random_event made;
	struct log_place place;
	struct fb_event event;
	uint64_t seq = first;

	assert_true(log_epoch(log) == epoch);
	assert_int_equal(log_first(log), first);
	assert_int_equal(log_next(log), next);
	assert_int_equal(log_seek(log, first, &place), 0);
	for (; log_read(log, &place, &event) == 0; seq++) {
		size_t size = fb_event_pack(&event, packed);

		seq_event(&made, seq, SALT);
		made.event.has &= event.has; /* without large texts */
		EVENT_SET(&made.event, seq, seq);
		assert_int_equal(fb_event_pack(&made.event, expected), size);
		assert_memory_equal(packed, expected, size);
	}
	assert_int_equal(seq, next);
}

/* Make a log, keep a second name of its file, and its content. */
static void make_log(uint64_t events, bool large)
{
	struct log *log = open_log();
	size_t size;

	while (log_next(log) <= events)
		append_next(log, large);
	epoch = log_epoch(log);
	first = log_first(log);
	next = log_next(log);
	check_content(log);
	log_free(log);
	assert_int_equal(link(test_path("log"), test_path("kept")), 0);
	whole = file_read(test_path("log"), &size);
	assert_int_equal(size, FILE_SIZE);
}

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	whole = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(whole);
	test_dir_remove();
	return 0;
}

/* The file as it was, under its name. */
static void restore(void)
{
	assert_int_equal(link(test_path("kept"), test_path("again")), 0);
	assert_int_equal(rename(test_path("again"), test_path("log")), 0);
	/* Two names of one file: rename(2) does nothing. */
	(void)unlink(test_path("again"));
}

/* Open it in its current state. Return: whether it was accepted; then it is as it was written. */
static bool is_believed(void)
{
	struct log *log = open_log();
	enum log_origin origin = log_origin(log);

	if (origin == LOG_REOPENED) {
		check_content(log);
	} else {
		assert_int_equal(origin, LOG_REPLACED);
		assert_true(log_origin_reason(log)[0] != '\0');
		assert_int_equal(log_next(log), 1);
		assert_true(log_epoch(log) != epoch);
	}
	assert_int_equal(access(test_path("log.new"), F_OK), -1);
	log_free(log);
	return origin == LOG_REOPENED;
}

/* Damage one byte. Return: whether it was accepted. */
static bool survives(int fd, uint64_t offset, unsigned char flip)
{
	unsigned char byte = whole[offset] ^ flip;
	bool result;

	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	result = is_believed();
	if (!result)
		restore();
	assert_int_equal(pwrite(fd, &whole[offset], 1, (off_t)offset), 1);
	return result;
}

/* Does a reader rely on this byte? Filled by mark(). */
static bool used[FILE_SIZE];

static void mark(uint64_t from, uint64_t size)
{
	memset(used + from, true, size);
}

static void mark_used(void)
{
	static struct log_reader reader;
	struct fb_event event;

	memset(used, false, sizeof(used));
	mark(0, offsetof(struct log_header, check) + 8);
	mark(offsetof(struct log_header, tail), 8);
	mark(offsetof(struct log_header, head), 8);
	mark(offsetof(struct log_header, types), 8 + 8 * LOG_FIELDS_MAX);
	assert_int_equal(log_reader_init(&reader, whole, FILE_SIZE), 0);
	for (;;) {
		uint64_t before = reader.position, after;

		if (log_reader_next(&reader, &event) != 0)
			break;
		after = reader.position;
		/* What ends a block is used too. */
		if (before % LOG_BLOCK_SIZE != 0 && before / LOG_BLOCK_SIZE != (after - 1) / LOG_BLOCK_SIZE)
			mark(LOG_HEADER_SIZE + before % SIZE, 8);
		before = after - reader.record->size;
		mark(LOG_HEADER_SIZE + before % SIZE, after - before);
	}
}

/* Every byte of a short log, by a whole byte and by one bit */
static void test_every_byte(void **state)
{
	struct random random = { 4 };
	unsigned int n = 0;
	int fd;

	(void)state;
	make_log(40, false);
	mark_used();
	fd = open(test_path("kept"), O_WRONLY | O_CLOEXEC);
	for (uint64_t offset = 0; offset < FILE_SIZE; offset++) {
		if (!used[offset] && (offset >= 256 || in_valgrind()))
			continue;
		if (in_valgrind() && offset > 200 && random_below(&random, 8) != 0)
			continue;
		assert_int_equal(survives(fd, offset, 0xff), !used[offset]);
		assert_int_equal(survives(fd, offset, (unsigned char)(1 << random_below(&random, 8))),
				 !used[offset]);
		n++;
	}
	close(fd);
	assert_true(is_believed());
	print_message("# %u bytes, twice\n", n);
}

/* Every byte of a log that has wrapped, with ends of blocks and large records */
static void test_any_byte(void **state)
{
	struct random random = { 5 };
	unsigned int believed = 0;
	int fd;

	(void)state;
	make_log(4000, true);
	assert_true(first > 1);
	mark_used();
	fd = open(test_path("kept"), O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < (in_valgrind() ? 100 : 2000); i++) {
		uint64_t offset = random_below(&random, FILE_SIZE);
		bool survived = survives(fd, offset, (unsigned char)(1 + random_below(&random, 255)));

		assert_int_equal(survived, !used[offset]);
		believed += survived;
	}
	/* All that ends a block, and the beginning of the records there. */
	for (uint64_t block = 0; block < LOG_BLOCKS_MIN; block++) {
		uint64_t from = LOG_HEADER_SIZE + block * LOG_BLOCK_SIZE;
		uint64_t end = from + LOG_BLOCK_SIZE;

		while (end > from && !used[end - 1])
			end--;
		for (uint64_t offset = end - 8; offset < end + 8 && offset < FILE_SIZE; offset++)
			assert_int_equal(survives(fd, offset, 1), !used[offset]);
		for (uint64_t offset = from; offset < from + 24; offset++)
			assert_false(survives(fd, offset, 0x80));
	}
	close(fd);
	assert_true(is_believed());
	assert_true(believed > 0);
}

/* Words of the header that are valid and yet wrong, as from an attacker who knows the format */
static void test_absurd(void **state)
{
	struct log_header *header = NULL;
	const uint64_t positions[] = {
		0,
		8,
		24,
		LOG_BLOCK_SIZE,
		SIZE,
		SIZE + LOG_BLOCK_SIZE,
		UINT64_MAX >> 8,
		(UINT64_MAX >> 8) - 7,
		(UINT64_C(1) << 55) - LOG_BLOCK_SIZE,
	};

	(void)state;
	make_log(40, false);
	header = (struct log_header *)whole;
	for (unsigned int i = 0; i < 2 * sizeof(positions) / sizeof(positions[0]); i++) {
		uint64_t *word = i % 2 ? &header->tail : &header->head;
		uint64_t before = *word;
		struct log *log;

		*word = log_position_seal(positions[i / 2]);
		if (*word == before)
			continue;
		file_write(test_path("log"), whole, FILE_SIZE);
		log = open_log();
		/* A log without records is valid if its header says so; but only then. */
		if (word == &header->head && positions[i / 2] == 0) {
			assert_int_equal(log_origin(log), LOG_REOPENED);
			assert_int_equal(log_next(log), 1);
		} else {
			assert_int_equal(log_origin(log), LOG_REPLACED);
		}
		append_next(log, true);
		log_free(log);
		*word = before;
	}
}

/* Another size than the one that is wanted */
static void test_size(void **state)
{
	const uint64_t sizes[] = { 0,
				   1,
				   7,
				   63,
				   LOG_HEADER_SIZE - 1,
				   LOG_HEADER_SIZE,
				   LOG_HEADER_SIZE + 1,
				   LOG_HEADER_SIZE + LOG_BLOCK_SIZE,
				   FILE_SIZE - LOG_BLOCK_SIZE,
				   FILE_SIZE - 4097,
				   FILE_SIZE - 4096,
				   FILE_SIZE - 1,
				   FILE_SIZE + 1,
				   FILE_SIZE + 4096,
				   FILE_SIZE + LOG_BLOCK_SIZE };
	struct log *log = NULL;

	(void)state;
	make_log(4000, true);
	mark_used();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		file_write(test_path("log"), whole, FILE_SIZE);
		assert_int_equal(truncate(test_path("log"), (off_t)sizes[i]), 0);
		assert_false(is_believed());
	}
	for (uint64_t size = 0; size < FILE_SIZE; size += 4096) {
		file_write(test_path("log"), whole, FILE_SIZE);
		assert_int_equal(truncate(test_path("log"), (off_t)size), 0);
		assert_false(is_believed());
	}
	/* Cut, and extended again by bytes that were never written. */
	for (uint64_t size = 0; size < FILE_SIZE; size += 32 * 1024 + 1001) {
		file_write(test_path("log"), whole, FILE_SIZE);
		assert_int_equal(truncate(test_path("log"), (off_t)size), 0);
		assert_int_equal(truncate(test_path("log"), (off_t)FILE_SIZE), 0);
		assert_int_equal(is_believed(), !memchr(used + size, true, FILE_SIZE - size));
	}
	/* The configuration asks for a larger one now. */
	file_write(test_path("log"), whole, FILE_SIZE);
	assert_int_equal(log_open(&log, test_path("log"), SIZE + LOG_BLOCK_SIZE, (gid_t)-1), 0);
	assert_int_equal(log_origin(log), LOG_REPLACED);
	assert_string_equal(log_origin_reason(log), "it is of another size");
	assert_int_equal(log_size(log), SIZE + LOG_BLOCK_SIZE);
	log_free(log);
}

static void check_foreign(const char *reason, bool sealed)
{
	struct log_header *header = (struct log_header *)whole;
	struct log *log;

	if (sealed)
		header->check = log_check(0, header, offsetof(struct log_header, check));
	file_write(test_path("log"), whole, FILE_SIZE);
	log = open_log();
	assert_int_equal(log_origin(log), LOG_REPLACED);
	assert_string_equal(log_origin_reason(log), reason);
	assert_int_equal(log_next(log), 1);
	log_free(log);
}

/* Complete, but of another machine or boot */
static void test_foreign(void **state)
{
	struct log_header *header, kept;

	(void)state;
	make_log(100, true);
	header = (struct log_header *)whole;
	kept = *header;
#define CHANGED(_member, _value, _reason, _sealed) \
	header->_member = (_value);                \
	check_foreign(_reason, _sealed);           \
	*header = kept
	CHANGED(version, LOG_VERSION + 1, "it is of another version", true);
	CHANGED(version, LOG_VERSION + 1, "it is of another version", false);
	CHANGED(types, log_position_seal(_EVENT_TYPE_MAX + 1), "it is of another version", true);
	CHANGED(types, 0, "it is damaged", true);
	CHANGED(fields[EVENT_F_pid], log_position_seal(event_field_word(EVENT_F_tid)),
		"it is of another version", true);
	CHANGED(fields[EVENT_F_pid], 1, "it is damaged", true);
	CHANGED(boot_id[3], header->boot_id[3] ^ 1, "it is from before the machine was booted", true);
	CHANGED(magic, 0, "it is damaged", true);
	CHANGED(n_blocks, LOG_BLOCKS_MIN + 1, "it is damaged", true);
	CHANGED(n_blocks, UINT64_MAX / LOG_BLOCK_SIZE, "it is damaged", true);
	CHANGED(n_blocks, 0, "it is damaged", true);
	CHANGED(block_size, 4096, "it is damaged", true);
	CHANGED(first_seq, 2, "it is damaged", true);
#undef CHANGED
	/* The same byte order is needed, and nothing else looks like this. */
	header->magic = __builtin_bswap64(header->magic);
	check_foreign("it is damaged", true);
}

/* Something else has the name */
static void test_in_the_way(void **state)
{
	static const char text[] = "not to be touched";
	unsigned char *content;
	struct log *log = NULL;
	size_t size;

	(void)state;
	make_log(10, true);
	file_write(test_path("other"), text, sizeof(text));

	assert_int_equal(unlink(test_path("log")), 0);
	assert_int_equal(mkfifo(test_path("log"), 0600), 0);
	assert_false(is_believed());

	assert_int_equal(unlink(test_path("log")), 0);
	assert_int_equal(symlink("kept", test_path("log")), 0);
	assert_false(is_believed());
	assert_int_equal(unlink(test_path("log")), 0);
	assert_int_equal(symlink("other", test_path("log")), 0);
	assert_int_equal(symlink("other", test_path("log.new")), 0);
	assert_false(is_believed());
	content = file_read(test_path("other"), &size);
	assert_int_equal(size, sizeof(text));
	assert_memory_equal(content, text, size);
	free(content);
	content = file_read(test_path("kept"), &size);
	assert_memory_equal(content, whole, size);
	free(content);

	/* The rest of a broker that was killed while it made a log. */
	file_write(test_path("log.new"), text, sizeof(text));
	file_write(test_path("log"), whole, FILE_SIZE / 2);
	assert_false(is_believed());

	/* Any program may have put it there. */
	file_write(test_path("log"), whole, FILE_SIZE);
	if (geteuid() == 0) {
		assert_int_equal(chown(test_path("log"), 65534, (gid_t)-1), 0);
		assert_false(is_believed());
	}

	/* A directory is not made by a broker, and is not removed. */
	assert_int_equal(unlink(test_path("log")), 0);
	assert_int_equal(mkdir(test_path("log"), 0700), 0);
	assert_in_range(-log_open(&log, test_path("log"), SIZE, (gid_t)-1), 1, 200);
	assert_null(log);
	assert_int_equal(access(test_path("log.new"), F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absurd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_the_way, setup, teardown),
	};

	return cmocka_run_group_tests_name("log-damage", tests, NULL, NULL);
}
