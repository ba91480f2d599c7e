// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The reader of logs, and the broker that reopens one, on files of any content.
 *
 * The first byte of an input selects the kind of the rest: the file itself, or changes to a log of a broker, each 3 bytes of
 * offset, 1 of length, and the bytes. Checksums can be corrected after that, so that the code after the check is reached.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "log-reader.h"

enum {
	INPUT_FILE = 1 << 0,	  /* it is the file itself */
	INPUT_ROUND = 1 << 1,	  /* a log that has gone round, else one of a few records */
	INPUT_HEADER = 1 << 2,	  /* make right: the sum of the header */
	INPUT_POSITIONS = 1 << 3, /* the parities of head and tail */
	INPUT_RECORDS = 1 << 4,	  /* the sums of records */
	INPUT_OPEN = 1 << 5,	  /* reopen it as a broker would */
};

#define SIZE	  ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)
#define FILE_SIZE (LOG_HEADER_SIZE + SIZE)

static char directory[64], path[80];
/* What is read is a mapping, at the beginning of a page. */
#define ALIGNED __attribute__((aligned(4096)))
static unsigned char images[2][FILE_SIZE];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	abort();
}

static void write_file(const unsigned char *file, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	expect(fd >= 0 && write(fd, file, size) == (ssize_t)size, "write");
	close(fd);
}

static void append(struct log *log)
{
	struct fb_event event;
	uint64_t seq = log_next(log);

	fb_event_init(&event, seq % 3 == 0 ? EVENT_FORK : EVENT_EXIT);
	EVENT_SET(&event, time_usec, 1700000000000000 + seq);
	EVENT_SET(&event, pid, (uint32_t)seq);
	EVENT_SET(&event, comm, event_text("worker"));
	if (seq % 5 == 0)
		EVENT_SET(&event, uid, 1000);
	if (seq % 7 == 0)
		EVENT_SET(&event, cgroup, event_text("/system.slice/one-or-another.service"));
	log_append(log, &event);
}

static void make_image(unsigned char *image, uint64_t events)
{
	struct log *log = NULL;
	int fd;

	(void)unlink(path);
	expect(log_open(&log, path, SIZE, (gid_t)-1) == 0, "log_open");
	while (log_next(log) <= events)
		append(log);
	log_free(log);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	expect(fd >= 0 && read(fd, image, FILE_SIZE) == (ssize_t)FILE_SIZE, "read");
	close(fd);
}

static void clean(void)
{
	(void)unlink(path);
	(void)rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	snprintf(directory, sizeof(directory), "%s/forkbus-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	expect(mkdtemp(directory) != NULL, directory);
	snprintf(path, sizeof(path), "%s/log", directory);
	atexit(clean);
	make_image(images[0], 20);
	make_image(images[1], 6000);
	return 0;
}

static void change(unsigned char *file, const uint8_t *data, size_t size)
{
	while (size > 4) {
		size_t offset = (data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % FILE_SIZE;
		size_t length = data[3];

		data += 4;
		size -= 4;
		length = length < size ? length : size;
		length = length < FILE_SIZE - offset ? length : FILE_SIZE - offset;
		memcpy(file + offset, data, length);
		data += length;
		size -= length;
	}
}

/* Make the sums of all records right, as far as sizes lead from one to the next. */
static void seal_records(unsigned char *file)
{
	const struct log_header *header = (const struct log_header *)file;
	uint64_t position = header->tail >> 8, head = header->head >> 8;

	for (unsigned int n = 0; n < SIZE / 8 && position < head && position % 8 == 0; n++) {
		struct log_record *record = (struct log_record *)(file + LOG_HEADER_SIZE + position % SIZE);
		uint64_t left = LOG_BLOCK_SIZE - position % LOG_BLOCK_SIZE;

		if (record->size == 0) {
			position += left;
			continue;
		}
		if (record->size < sizeof(*record) || record->size % 8 != 0 || record->size > left)
			break;
		record->check = log_record_check(record);
		position += record->size;
	}
}

/* Look at every byte of an event. */
static void touch(const struct fb_event *event)
{
	static unsigned char packed[EVENT_PACKED_MAX];

	expect(event_type_name(event->type) != NULL, "type");
	expect(fb_event_pack(event, packed) <= sizeof(packed), "size");
}

static void read_file(const unsigned char *file, size_t size)
{
	static struct log_reader reader;
	struct fb_event event;
	uint64_t n = 0, seq = 0;
	int r = log_reader_init(&reader, file, size);

	while (r == 0) {
		r = log_reader_next(&reader, &event);
		if (r != 0)
			break;
		expect(n++ <= size / sizeof(struct log_record), "it ends");
		expect(seq == 0 || event.seq == seq, "the next");
		seq = event.seq + 1;
		touch(&event);
	}
	if (r == LOG_READER_E_LAPPED)
		(void)log_reader_rewind(&reader);
}

static void reopen(const unsigned char *file, size_t size)
{
	struct log *log = NULL;
	struct log_place place;
	struct fb_event event;
	uint64_t next;

	write_file(file, size);
	expect(log_open(&log, path, SIZE, (gid_t)-1) == 0, "log_open");
	next = log_first(log);
	if (log_seek(log, next, &place) == 0)
		for (; log_read(log, &place, &event) == 0; next++) {
			expect(event.seq == next, "seq");
			touch(&event);
		}
	expect(next == log_next(log), "next");
	expect(log_seek_time(log, log_first_time(log)) <= next, "time");
	for (int i = 0; i < 3; i++)
		append(log);
	next = log_next(log);
	log_free(log);
	expect(log_open(&log, path, SIZE, (gid_t)-1) == 0, "log_open");
	expect(log_origin(log) == LOG_REOPENED, "believed");
	expect(log_next(log) == next, "next");
	log_free(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char file[FILE_SIZE] ALIGNED;
	struct log_header *header = (struct log_header *)file;
	uint8_t flags;

	if (size == 0)
		return 0;
	flags = data[0];
	if (flags & INPUT_FILE) {
		/* A copy, so that not a byte beyond is touched unseen. */
		void *copy = NULL;

		expect(posix_memalign(&copy, 4096, size) == 0, "memory");
		memcpy(copy, data + 1, size - 1);
		read_file(copy, size - 1);
		free(copy);
		return 0;
	}
	memcpy(file, images[(flags & INPUT_ROUND) != 0], FILE_SIZE);
	change(file, data + 1, size - 1);
	if (flags & INPUT_POSITIONS) {
		header->tail = log_position_seal(header->tail >> 8);
		header->head = log_position_seal(header->head >> 8);
	}
	if (flags & INPUT_RECORDS)
		seal_records(file);
	if (flags & INPUT_HEADER)
		header->check = log_check(0, header, offsetof(struct log_header, check));
	read_file(file, FILE_SIZE);
	if (flags & INPUT_OPEN)
		reopen(file, FILE_SIZE);
	return 0;
}
