// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "log-reader.h"
#include "tests/unit/support.h"

#define SIZE	  ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)
#define FILE_SIZE (LOG_HEADER_SIZE + SIZE)
#define SALT	  11

static struct log_reader reader;
static unsigned char *image; /* of a log, with exactly the size of its file */
static struct log_header *header;
static uint64_t first, next;

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	image = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(image);
	test_dir_remove();
	return 0;
}

static struct log *open_log(void)
{
	struct log *log = NULL;

	assert_int_equal(log_open(&log, test_path("log"), SIZE, (gid_t)-1), 0);
	return log;
}

static void append(struct log *log)
{
	static struct random_event made;

	seq_event(&made, log_next(log), SALT);
	log_append(log, &made.event);
	log_show(log);
}

/* Memory that ends with the file, so that reads beyond it are detected. */
static void image_cut(size_t size)
{
	void *cut = NULL;

	assert_int_equal(posix_memalign(&cut, 4096, size ? size : 1), 0);
	memcpy(cut, image, size);
	free(image);
	image = cut;
}

static void make_image(uint64_t events)
{
	struct log *log = open_log();
	size_t size;

	while (log_next(log) <= events)
		append(log);
	first = log_first(log);
	next = log_next(log);
	log_free(log);
	image = file_read(test_path("log"), &size);
	assert_int_equal(size, FILE_SIZE);
	image_cut(size);
	header = (struct log_header *)image;
	assert_int_equal(unlink(test_path("log")), 0);
}

/* Read to the end. Return: why it ended, with *seq set to the event that could not be read. */
static int read_on(uint64_t *seq)
{
	struct fb_event event;
	int r;

	while ((r = log_reader_next(&reader, &event)) == 0) {
		assert_int_equal(event.seq, *seq);
		assert_true(seq_event_is(&event, SALT));
		(*seq)++;
	}
	return r;
}

/* Read the whole file in its current state. Return: the result. */
static int read_all(size_t size, uint64_t *n)
{
	uint64_t seq = first;
	int r = log_reader_init(&reader, image, size);

	if (r == 0)
		r = read_on(&seq);
	*n = seq - first;
	return r;
}

static void test_whole(void **state)
{
	const uint64_t events[] = { 0, 1, 40, 5000 };
	uint64_t seq, n;

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		free(image);
		make_image(events[i]);
		assert_int_equal(read_all(FILE_SIZE, &n), LOG_READER_E_END);
		assert_int_equal(n, next - first);
		/* Once more, from the beginning. */
		assert_int_equal(log_reader_rewind(&reader), 0);
		seq = first;
		assert_int_equal(read_on(&seq), LOG_READER_E_END);
		assert_int_equal(seq, next);
	}
	assert_true(first > 1);
}

/* The reader continues at its position when events are added, also into the next block. */
static void test_follow(void **state)
{
	struct log *log = open_log();
	int fd = open(test_path("log"), O_RDONLY | O_CLOEXEC);
	void *map = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t seq = 1;

	(void)state;
	assert_true(map != MAP_FAILED);
	close(fd);
	assert_int_equal(log_reader_init(&reader, map, FILE_SIZE), 0);
	assert_int_equal(read_on(&seq), LOG_READER_E_END);
	for (int i = 0; i < 5000; i++) {
		append(log);
		if (i % 7 == 0)
			append(log);
		assert_int_equal(read_on(&seq), LOG_READER_E_END);
		assert_int_equal(seq, log_next(log));
	}
	/* A reader that sleeps too long gets a loss, then reads the events that are left. */
	while (log_first(log) <= seq)
		append(log);
	assert_int_equal(read_on(&seq), LOG_READER_E_LAPPED);
	assert_int_equal(log_reader_rewind(&reader), 0);
	seq = log_first(log);
	assert_int_equal(read_on(&seq), LOG_READER_E_END);
	assert_int_equal(seq, log_next(log));
	log_free(log);
	munmap(map, FILE_SIZE);
}

static void write_for_ever(void)
{
	struct log *log;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (log_open(&log, test_path("log"), SIZE, (gid_t)-1) != 0)
		_exit(1);
	for (;;)
		append(log);
}

/* Another process writes as fast as possible, and overtakes the reader repeatedly. */
static void test_race(void **state)
{
	const uint64_t wanted = in_valgrind() ? 2000 : 200000;
	const struct timespec doze = { 0, 2000000 };
	uint64_t n = 0, seq = 0, laps = 0;
	struct fb_event event;
	bool again = true;
	void *map;
	pid_t pid;
	int fd;

	(void)state;
	log_free(open_log());
	fd = open(test_path("log"), O_RDONLY | O_CLOEXEC);
	map = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		write_for_ever();
	assert_int_equal(log_reader_init(&reader, map, FILE_SIZE), 0);
	while (n < wanted || laps < 20) {
		int r = log_reader_next(&reader, &event);

		if (r == 0) {
			assert_true(again ? event.seq > seq : event.seq == seq + 1);
			assert_true(seq_event_is(&event, SALT));
			seq = event.seq;
			again = false;
			/* Seek once, and not before each attempt: the reader would always be overtaken. */
			if (++n % 10000 == 5000)
				nanosleep(&doze, NULL);
		} else if (r == LOG_READER_E_LAPPED) {
			assert_int_equal(log_reader_rewind(&reader), 0);
			again = true;
			laps++;
		} else {
			assert_int_equal(r, LOG_READER_E_END);
		}
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	munmap(map, FILE_SIZE);
	print_message("# %llu events read of %llu, overtaken %llu times\n", (unsigned long long)n,
		      (unsigned long long)seq, (unsigned long long)laps);
}

/* Invalid data was overwritten if the tail has passed it; otherwise the log is damaged. */
static void test_torn(void **state)
{
	static unsigned char before[64 * 1024];
	struct fb_event event;
	uint64_t position, seq;

	(void)state;
	make_image(4000);
	assert_int_equal(log_reader_init(&reader, image, FILE_SIZE), 0);
	seq = first;
	for (int i = 0; i < 50; i++, seq++)
		assert_int_equal(log_reader_next(&reader, &event), 0);
	position = reader.position;
	memcpy(before, image + LOG_HEADER_SIZE + position % SIZE, 64);
	for (int i = 0; i < 64; i++) {
		unsigned char *record = image + LOG_HEADER_SIZE + position % SIZE;
		uint64_t tail = header->tail;
		bool ok;

		memset(record, i, 24);
		assert_int_equal(log_reader_next(&reader, &event), LOG_READER_E_CORRUPT);
		reader.position = position;
		header->tail = log_position_seal(log_position_open(tail, &ok) + LOG_BLOCK_SIZE);
		assert_int_equal(log_reader_next(&reader, &event), LOG_READER_E_LAPPED);
		header->tail = tail;
		memcpy(record, before, 64);
		reader.position = position;
		assert_int_equal(log_reader_next(&reader, &event), 0);
		assert_int_equal(event.seq, seq);
		reader.position = position;
		reader.seq = seq;
	}
	/* Even a valid record must not be used if its place may have been overwritten. */
	header->tail = log_position_seal(position - position % LOG_BLOCK_SIZE + LOG_BLOCK_SIZE);
	assert_int_equal(log_reader_next(&reader, &event), LOG_READER_E_LAPPED);
	assert_int_equal(log_reader_rewind(&reader), 0);
	assert_int_equal(log_reader_next(&reader, &event), 0);
	assert_true(event.seq > seq);
	/* The tail itself */
	header->tail ^= 1;
	assert_int_equal(log_reader_rewind(&reader), LOG_READER_E_CORRUPT);
	assert_int_equal(log_reader_next(&reader, &event), LOG_READER_E_CORRUPT);
}

static int init_with(size_t size, bool sealed)
{
	if (sealed)
		header->check = log_check(0, header, offsetof(struct log_header, check));
	return log_reader_init(&reader, image, size);
}

static void test_hostile_header(void **state)
{
	struct log_header kept;
	uint64_t n;

	(void)state;
	make_image(1000);
	kept = *header;
#define CHANGED(_member, _value, _sealed, _error)                \
	header->_member = (_value);                              \
	assert_int_equal(init_with(FILE_SIZE, _sealed), _error); \
	*header = kept
	CHANGED(magic, 0, true, LOG_READER_E_CORRUPT);
	CHANGED(version, LOG_VERSION + 1, false, LOG_READER_E_FOREIGN);
	CHANGED(block_size, 8, false, LOG_READER_E_CORRUPT);
	CHANGED(block_size, 8, true, LOG_READER_E_FOREIGN);
	CHANGED(block_size, 0, true, LOG_READER_E_FOREIGN);
	CHANGED(types, 0, false, LOG_READER_E_CORRUPT);
	CHANGED(types, log_position_seal(_EVENT_TYPE_MAX + 1), false, LOG_READER_E_FOREIGN);
	CHANGED(fields[EVENT_F_pid], 1, false, LOG_READER_E_CORRUPT);
	CHANGED(fields[EVENT_F_pid], log_position_seal(event_field_word(EVENT_F_tid)), false,
		LOG_READER_E_FOREIGN);
	CHANGED(fields[EVENT_FIELDS_MAX - 1], 1, false, LOG_READER_E_CORRUPT);
	CHANGED(fields[EVENT_FIELDS_MAX - 1], log_position_seal(EVENT_KINDS + 1), false,
		LOG_READER_E_FOREIGN);
	CHANGED(fields[EVENT_FIELDS_MAX - 1], log_position_seal(0), false, LOG_READER_E_FOREIGN);
	CHANGED(fields[EVENT_FIELDS_MAX - 1], log_position_seal(EVENT_KINDS), false, 0);
	CHANGED(fields[EVENT_F_pid], 0, false, 0);
	CHANGED(n_blocks, 0, true, LOG_READER_E_CORRUPT);
	CHANGED(n_blocks, LOG_BLOCKS_MIN - 1, true, LOG_READER_E_CORRUPT);
	CHANGED(n_blocks, LOG_BLOCKS_MIN + 1, true, LOG_READER_E_CORRUPT);
	CHANGED(n_blocks, UINT64_MAX, true, LOG_READER_E_CORRUPT);
	CHANGED(n_blocks, UINT64_MAX / LOG_BLOCK_SIZE + 1 + LOG_BLOCKS_MIN, true, LOG_READER_E_CORRUPT);
	CHANGED(tail, log_position_seal(8), false, LOG_READER_E_CORRUPT);
	CHANGED(tail, 0, false, LOG_READER_E_CORRUPT);
#undef CHANGED
	/* The shortest possible file: no byte beyond it is read. */
	for (size_t size = FILE_SIZE; size > 0;) {
		size -= size < LOG_HEADER_SIZE + 8 ? 1 : size / 3;
		image_cut(size);
		assert_int_equal(read_all(size, &n), LOG_READER_E_CORRUPT);
	}
}

/* Head and tail with valid checksums, but wrong positions */
static void test_hostile_positions(void **state)
{
	struct random random = { 6 };
	uint64_t head, tail, n;
	bool ok;

	(void)state;
	make_image(4000);
	head = log_position_open(header->head, &ok);
	tail = log_position_open(header->tail, &ok);
	for (int i = 0; i < (in_valgrind() ? 500 : 20000); i++) {
		uint64_t value = random_integer(&random, UINT64_MAX >> 8);
		int r;

		if (i % 4 == 0)
			value = (tail + random_below(&random, 3 * SIZE) - SIZE) & UINT64_MAX >> 8;
		if (i % 2)
			header->head = log_position_seal(value);
		else
			header->tail = log_position_seal(value - value % LOG_BLOCK_SIZE);
		if (log_reader_init(&reader, image, FILE_SIZE) == 0) {
			uint64_t seq = first;
			struct fb_event event;

			/* The reader may get fewer events, or older ones by whole rounds, but only events that were written. */
			for (n = 0; (r = log_reader_next(&reader, &event)) == 0; n++) {
				seq = n == 0 ? event.seq : seq + 1;
				assert_int_equal(event.seq, seq);
				assert_true(seq_event_is(&event, SALT));
			}
			assert_true(r == LOG_READER_E_END || r == LOG_READER_E_CORRUPT ||
				    r == LOG_READER_E_LAPPED);
			assert_true(n < 20000);
		}
		header->head = log_position_seal(head);
		header->tail = log_position_seal(tail);
	}
	assert_int_equal(read_all(FILE_SIZE, &n), LOG_READER_E_END);
	assert_int_equal(n, next - first);
}

/* Records with valid checksums and invalid content */
static void test_hostile_records(void **state)
{
	struct log_record *record, *second;
	static unsigned char kept[64 * 1024];
	uint64_t n;

	(void)state;
	make_image(100);
	record = (struct log_record *)(image + LOG_HEADER_SIZE);
	second = (struct log_record *)((unsigned char *)record + record->size);
	memcpy(kept, record, record->size);
#define CHANGED(_statement, _sealed)                                     \
	_statement;                                                      \
	if (_sealed)                                                     \
		record->check = log_record_check(record);                \
	assert_int_equal(read_all(FILE_SIZE, &n), LOG_READER_E_CORRUPT); \
	assert_int_equal(n, 0);                                          \
	memcpy(record, kept, ((const struct log_record *)kept)->size)
	CHANGED(record->size = 0, false);
	CHANGED(record->size = 8, false);
	CHANGED(record->size = 23, false);
	CHANGED(record->size = 24, true);
	CHANGED(record->size -= 8, true);
	CHANGED(record->size += 4, false);
	CHANGED(record->size = LOG_BLOCK_SIZE, true);
	CHANGED(record->size = LOG_BLOCK_SIZE + 8, false);
	CHANGED(record->size = UINT32_MAX, false);
	CHANGED(record->size = UINT32_MAX - 7, false);
	CHANGED(record->length = 0, true);
	CHANGED(record->length++, true);
	CHANGED(record->length--, true);
	CHANGED(record->length = record->size - 23, true);
	CHANGED(record->length = UINT32_MAX, true);
	CHANGED(record->seq++, true);
	CHANGED(record->seq = 0, true);
	CHANGED(record->data[8] = EVENT_NONE, true);
	CHANGED(record->data[8] = _EVENT_TYPE_MAX, true);
	CHANGED(record->data[7] = 0xff, true);
	CHANGED(record->data[9]++, true);
	CHANGED((record->size = 0, record->length = 0), false);
	CHANGED(memset(record, 0, record->size), false);
#undef CHANGED
	/* A record that includes a part of the next one is itself unchanged. */
	record->size += 8;
	record->check = log_record_check(record);
	assert_int_equal(read_all(FILE_SIZE, &n), LOG_READER_E_CORRUPT);
	assert_int_equal(n, 1);
	memcpy(record, kept, ((const struct log_record *)kept)->size);
	/* Two valid records, of which the second one does not follow the first. */
	second->seq++;
	second->data[9]++;
	second->check = log_record_check(second);
	assert_int_equal(read_all(FILE_SIZE, &n), LOG_READER_E_CORRUPT);
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_follow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_race, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_positions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_records, setup, teardown),
	};

	return cmocka_run_group_tests_name("log-reader", tests, NULL, NULL);
}
