// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A reader of the mapped log of a malicious broker: whatever the broker writes, and at any time, every call returns,
 * reported events are in order, and nothing outside of the mapping is accessed.
 *
 * The first byte of an input selects the log at the beginning. Each following step is a byte and its arguments: reading,
 * seeking, or an action of the writer between two calls of the reader.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/lib/ring.h"
#include "core/log.h"
#include "log-format.h"

enum {
	STEP_READ,     /* so many events, a byte */
	STEP_SEEK,     /* behind the number so far from the oldest one: 2 bytes, from -64 on */
	STEP_SEEK_FAR, /* behind any number: 8 bytes */
	STEP_CHANGE,   /* 3 bytes of offset, 1 of length, and the bytes */
	STEP_HEAD,     /* the head becomes another position, whole: 4 bytes, in words */
	STEP_TAIL,     /* the same, of a block: 1 byte, or any: 4 bytes */
	STEP_TAIL_ANY,
	STEP_SEAL, /* make the sums of all records right */
	STEP_WAKE, /* change the word */
	_STEP_MAX,
};

#define SIZE	  ((uint64_t)LOG_BLOCKS_MIN * LOG_BLOCK_SIZE)
#define FILE_SIZE (LOG_HEADER_SIZE + SIZE)

static unsigned char images[2][FILE_SIZE]
	__attribute__((aligned(4096))); /* of a few events, and one that has gone round */
static uint64_t firsts[2];
static unsigned char *file; /* as the writer has it */
static int fd;

struct input {
	const uint8_t *data;
	size_t size;
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	abort();
}

static void make_image(const char *path, int n, uint64_t events)
{
	static char filler[4 * 500];
	struct log *log = NULL;
	struct fb_event event;
	int from;

	memset(filler, '/', sizeof(filler));
	expect(log_open(&log, path, SIZE, (gid_t)-1) == 0, "log_open");
	while (log_next(log) <= events) {
		uint64_t seq = log_next(log);

		fb_event_init(&event, seq % 3 == 0 ? EVENT_FORK : EVENT_EXIT);
		EVENT_SET(&event, pid, (uint32_t)seq);
		if (seq % 5 == 0)
			EVENT_SET(&event, comm, event_text("worker"));
		/* Long ones, so that going round takes few. */
		if (n == 1)
			EVENT_SET(&event, cgroup, ((struct event_text){ filler, seq % 4 * 500 }));
		log_append(log, &event);
	}
	log_show(log);
	firsts[n] = log_first(log);
	from = log_share(log);
	expect(from >= 0 && read(from, images[n], FILE_SIZE) == (ssize_t)FILE_SIZE, "read");
	close(from);
	log_free(log);
	(void)unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char directory[64], path[80];

	(void)argc;
	(void)argv;
	snprintf(directory, sizeof(directory), "%s/forkbus-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	expect(mkdtemp(directory) != NULL, directory);
	snprintf(path, sizeof(path), "%s/log", directory);
	make_image(path, 0, 20);
	make_image(path, 1, 600);
	(void)rmdir(directory);

	fd = memfd_create("log", MFD_CLOEXEC);
	expect(fd >= 0 && ftruncate(fd, (off_t)FILE_SIZE) == 0, "memfd_create");
	file = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect(file != MAP_FAILED, "mmap");
	return 0;
}

/* The next bytes of the input as a number; zeros where there are no more. */
static uint64_t take(struct input *input, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes && input->size > 0; i++, input->size--)
		value |= (uint64_t)*input->data++ << 8 * i;
	return value;
}

static void change(struct input *input)
{
	size_t offset = take(input, 3) % FILE_SIZE;
	size_t length = take(input, 1);

	length = length < input->size ? length : input->size;
	length = length < FILE_SIZE - offset ? length : FILE_SIZE - offset;
	memcpy(file + offset, input->data, length);
	input->data += length;
	input->size -= length;
}

/* As far as sizes lead from one to the next. */
static void seal(void)
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

/* One call. @next: the number that must come; 0: any. Return: will there be more? */
static bool read_one(struct ring *ring, uint64_t *next)
{
	static unsigned char packed[EVENT_PACKED_MAX];
	struct fb_event event;
	int r = ring_next(ring, &event);

	if (r == 0) {
		expect(event_type_name(event.type) != NULL, "type");
		expect(fb_event_pack(&event, packed) <= sizeof(packed), "size");
		expect(*next == 0 || event.seq == *next, "the next");
		*next = event.seq + 1;
	} else if (r == RING_E_LOST) {
		expect(event.type == EVENT_LOST && event.from <= event.to, "loss");
		expect(event.count == event.to - event.from + 1, "count");
		expect(*next == 0 || event.from == *next, "the next");
		*next = event.to + 1;
	} else {
		expect(r == RING_E_END || r == RING_E_REPLACED || r == -EBADMSG, "result");
	}
	return r == 0 || r == RING_E_LOST;
}

static void seek(struct ring *ring, uint64_t seq, uint64_t *next)
{
	uint64_t epoch = ((const struct log_header *)images[0])->epoch;
	int r = ring_seek(ring, epoch, seq);

	expect(r == 0 || r == RING_E_EPOCH || r == -ERANGE || r == -EBADMSG, "seek");
	if (r == 0)
		*next = seq + 1;
	else if (r == -EBADMSG)
		*next = 0;
}

static void do_step(struct ring *ring, struct input *input, uint64_t first, uint64_t *next)
{
	struct log_header *header = (struct log_header *)file;

	switch (take(input, 1) % _STEP_MAX) {
	case STEP_READ:
		for (uint64_t n = take(input, 1) * 4; n > 0 && read_one(ring, next); n--)
			;
		break;
	case STEP_SEEK:
		seek(ring, first + take(input, 2) - 64, next);
		break;
	case STEP_SEEK_FAR:
		seek(ring, take(input, 8), next);
		break;
	case STEP_CHANGE:
		change(input);
		break;
	case STEP_HEAD:
		header->head = log_position_seal(take(input, 4) * 8);
		break;
	case STEP_TAIL:
		header->tail = log_position_seal(take(input, 1) * LOG_BLOCK_SIZE);
		break;
	case STEP_TAIL_ANY:
		header->tail = log_position_seal(take(input, 4));
		break;
	case STEP_SEAL:
		seal();
		break;
	case STEP_WAKE:
		__atomic_fetch_add(&header->wake, 1, __ATOMIC_SEQ_CST);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	unsigned int image = take(&input, 1) % 2;
	struct ring *ring = NULL;
	uint64_t next = 0;

	memcpy(file, images[image], FILE_SIZE);
	((struct log_header *)file)->epoch = ((struct log_header *)images[0])->epoch;
	((struct log_header *)file)->check = log_check(0, file, offsetof(struct log_header, check));
	expect(ring_new(&ring, fcntl(fd, F_DUPFD_CLOEXEC, 0)) == 0, "ring_new");
	while (input.size > 0)
		do_step(ring, &input, firsts[image], &next);
	for (unsigned int n = 0; read_one(ring, &next); n++)
		expect(n <= FILE_SIZE / sizeof(struct log_record) + 2, "it ends");
	ring_free(ring);
	return 0;
}
