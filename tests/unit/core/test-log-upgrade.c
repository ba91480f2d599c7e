// SPDX-License-Identifier: LGPL-2.1-or-later
/* A log that brokers of different versions write, one after the other: nothing of it is lost, forwards and backwards. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "log-reader.h"
#include "tests/unit/random-event.h"
#include "tests/unit/support.h"

#define SIZE	  (LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)
#define FILE_SIZE (LOG_HEADER_SIZE + SIZE)

/* Fields of a broker that is newer than this one. */
#define NEW_NUMBER (EVENT_FIELDS_MAX - 2)
#define NEW_TEXT   (EVENT_FIELDS_MAX - 1)

static struct log_header *header; /* the file, as another broker sees it */
static struct log_reader reader;

static struct log *open_log(enum log_origin origin)
{
	struct log *log = NULL;

	assert_int_equal(log_open(&log, test_path("log"), SIZE, (gid_t)-1), 0);
	assert_int_equal(log_origin(log), origin);
	return log;
}

static void append(struct log *log, uint32_t pid)
{
	struct fb_event event;

	fb_event_init(&event, EVENT_FORK);
	EVENT_SET(&event, pid, pid);
	assert_int_equal(log_append(log, &event), pid);
}

/* A log with three events, closed. */
static int setup(void **state)
{
	struct log *log;
	int fd;

	(void)state;
	test_dir_make();
	log = open_log(LOG_NEW);
	for (uint32_t pid = 1; pid <= 3; pid++)
		append(log, pid);
	log_free(log);
	fd = open(test_path("log"), O_RDWR | O_CLOEXEC);
	header = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return header == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(header, FILE_SIZE);
	test_dir_remove();
	return 0;
}

/* The words that a newer broker adds for its fields. */
static void declare(void)
{
	header->fields[NEW_NUMBER] = log_position_seal(UINT64_C(0x1234) << 8 | (EVENT_KIND_U32 + 1));
	header->fields[NEW_TEXT] = log_position_seal(UINT64_C(0x5678) << 8 | (EVENT_KIND_TEXT + 1));
}

/* The newer broker appends an event that has both. */
static void append_newer(uint32_t pid)
{
	static const char text[] = { 'a', 'b', 'c' };
	_Alignas(8) unsigned char room[256] = {};
	struct log_record *record = (struct log_record *)room;
	field_set fields = EVENT_BIT(seq) | EVENT_BIT(pid) | FIELD_BIT(NEW_NUMBER) | FIELD_BIT(NEW_TEXT);
	uint64_t low = (uint64_t)fields, high = (uint64_t)(fields >> 64), seq = pid, head;
	unsigned char *at = record->data;
	uint32_t number = 7;
	uint16_t len = sizeof(text);
	_Bool ok;

	at = mempcpy(at, &low, sizeof(low));
	*at++ = EVENT_FORK | EVENT_PACKED_WIDE;
	at = mempcpy(at, &high, sizeof(high));
	at = mempcpy(at, &seq, sizeof(seq));
	at = mempcpy(at, &pid, sizeof(pid));
	at = mempcpy(at, &number, sizeof(number));
	at = mempcpy(at, &len, sizeof(len));
	at = mempcpy(at, text, len);
	record->length = (uint32_t)(at - record->data);
	record->size = (uint32_t)(sizeof(*record) + (record->length + 7) / 8 * 8);
	record->seq = seq;
	head = log_position_open(header->head, &ok);
	assert_true(ok);
	log_record_store((char *)header + LOG_HEADER_SIZE + head, record);
	header->head = log_position_seal(head + record->size);
}

static void check_events(struct log *log, uint32_t n)
{
	struct log_place place;
	struct fb_event event;

	assert_int_equal(log_first(log), 1);
	assert_int_equal(log_next(log), n + 1);
	assert_int_equal(log_seek(log, 1, &place), 0);
	for (uint32_t pid = 1; pid <= n; pid++) {
		assert_int_equal(log_read(log, &place, &event), 0);
		assert_true(event.has == (EVENT_BIT(seq) | EVENT_BIT(pid)));
		assert_int_equal(event.pid, pid);
	}
	assert_int_equal(log_read(log, &place, &event), LOG_E_END);
}

/* Of a broker that had fewer fields and types: it is continued, under the same epoch, with all fields. */
static void continues_an_older_log(void **state)
{
	uint64_t epoch = header->epoch;
	struct fb_event event;
	struct log *log;

	(void)state;
	for (unsigned int field = EVENT_F_tid; field < _EVENT_FIELD_MAX; field++)
		header->fields[field] = 0;
	header->types = log_position_seal(EVENT_FORK + 1);
	log = open_log(LOG_REOPENED);
	assert_true(log_epoch(log) == epoch);
	check_events(log, 3);
	for (unsigned int field = 0; field < EVENT_FIELDS_MAX; field++)
		assert_true(header->fields[field] ==
			    (field < _EVENT_FIELD_MAX ? log_position_seal(event_field_word(field)) : 0));
	assert_true(header->types == log_position_seal(_EVENT_TYPE_MAX));

	fb_event_init(&event, EVENT_EXEC);
	EVENT_SET(&event, exe, event_text("/bin/true"));
	assert_int_equal(log_append(log, &event), 4);
	log_show(log);
	assert_int_equal(log_reader_init(&reader, header, FILE_SIZE), 0);
	assert_int_equal(log_reader_seek(&reader, 4), 0);
	assert_int_equal(log_reader_next(&reader, &event), 0);
	assert_true(event.type == EVENT_EXEC && event_text_equal(event.exe, event_text("/bin/true")));
	log_free(log);
}

/* Of a broker that had more fields: they are skipped, and the log is continued. Their words stay for the next newer broker. */
static void continues_a_newer_log(void **state)
{
	uint64_t epoch = header->epoch, kept;
	struct log *log;

	(void)state;
	declare();
	kept = header->fields[NEW_TEXT];
	append_newer(4);
	log = open_log(LOG_REOPENED);
	assert_true(log_epoch(log) == epoch);
	check_events(log, 4);
	append(log, 5);
	check_events(log, 5);
	assert_true(header->fields[NEW_TEXT] == kept);
	log_free(log);
	log_free(open_log(LOG_REOPENED));
}

/* A reader that mapped the log before a newer broker continued it finds the new fields in the header. */
static void readers_follow_an_upgrade(void **state)
{
	struct fb_event event;

	(void)state;
	assert_int_equal(log_reader_init(&reader, header, FILE_SIZE), 0);
	for (uint32_t pid = 1; pid <= 3; pid++)
		assert_int_equal(log_reader_next(&reader, &event), 0);
	declare();
	append_newer(4);
	assert_int_equal(log_reader_next(&reader, &event), 0);
	assert_true(event.has == (EVENT_BIT(seq) | EVENT_BIT(pid)));
	assert_int_equal(event.pid, 4);
	assert_int_equal(log_reader_next(&reader, &event), LOG_READER_E_END);
}

/* A field that the header does not know was not written by a broker. */
static void undeclared_fields_are_damage(void **state)
{
	struct fb_event event;
	struct log *log;

	(void)state;
	append_newer(4);
	assert_int_equal(log_reader_init(&reader, header, FILE_SIZE), 0);
	assert_int_equal(log_reader_seek(&reader, 3), 0);
	assert_int_equal(log_reader_next(&reader, &event), 0);
	assert_int_equal(log_reader_next(&reader, &event), LOG_READER_E_CORRUPT);
	log = open_log(LOG_REPLACED);
	assert_string_equal(log_origin_reason(log), "it is damaged");
	log_free(log);
}

/* A type cannot be skipped: a reader of an older version stops with an error of its own. */
static void unknown_types_are_refused(void **state)
{
	struct fb_event event;
	struct log *log;

	(void)state;
	assert_int_equal(log_reader_init(&reader, header, FILE_SIZE), 0);
	for (uint32_t pid = 1; pid <= 3; pid++)
		assert_int_equal(log_reader_next(&reader, &event), 0);
	header->types = log_position_seal(_EVENT_TYPE_MAX + 1);
	append_newer(4); /* its fields are not known either */
	assert_int_equal(log_reader_next(&reader, &event), LOG_READER_E_FOREIGN);
	assert_int_equal(log_reader_init(&reader, header, FILE_SIZE), LOG_READER_E_FOREIGN);
	log = open_log(LOG_REPLACED);
	assert_string_equal(log_origin_reason(log), "it is of another version");
	log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(continues_an_older_log, setup, teardown),
		cmocka_unit_test_setup_teardown(continues_a_newer_log, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_follow_an_upgrade, setup, teardown),
		cmocka_unit_test_setup_teardown(undeclared_fields_are_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_types_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("log-upgrade", tests, NULL, NULL);
}
