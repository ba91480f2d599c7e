// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "log-reader.h"

/* A writer does not lap a reader so many times in a row while it copies one record: the tail was forged. */
#define TRIES 1000

#define BLOCK_LEFT(_position) (LOG_BLOCK_SIZE - (_position) % LOG_BLOCK_SIZE)

/* A sealed word of the part that grows. Return: whether its parity is right. */
static bool load_sealed(const uint64_t *word, uint64_t *value)
{
	_Bool ok;

	*value = log_position_open(__atomic_load_n(word, __ATOMIC_ACQUIRE), &ok);
	return ok;
}

int log_schema_check(const struct log_header *header, uint8_t kinds[static EVENT_FIELDS_MAX])
{
	uint64_t types, word;

	if (!load_sealed(&header->types, &types))
		return LOG_READER_E_CORRUPT;
	if (types > _EVENT_TYPE_MAX)
		return LOG_READER_E_FOREIGN;
	memset(kinds, 0, EVENT_FIELDS_MAX);
	for (unsigned int field = 0; field < EVENT_FIELDS_MAX; field++) {
		if (__atomic_load_n(&header->fields[field], __ATOMIC_ACQUIRE) == 0)
			continue;
		if (!load_sealed(&header->fields[field], &word))
			return LOG_READER_E_CORRUPT;
		if (field < _EVENT_FIELD_MAX ? word != event_field_word(field)
					     : (uint8_t)(word - 1) >= EVENT_KINDS)
			return LOG_READER_E_FOREIGN;
		if (field >= _EVENT_FIELD_MAX)
			kinds[field] = (uint8_t)word;
	}
	return 0;
}

void log_schema_add(struct log_header *header)
{
	uint64_t types;

	for (unsigned int field = 0; field < _EVENT_FIELD_MAX; field++)
		__atomic_store_n(&header->fields[field], log_position_seal(event_field_word(field)),
				 __ATOMIC_RELEASE);
	if (!load_sealed(&header->types, &types) || types < _EVENT_TYPE_MAX)
		__atomic_store_n(&header->types, log_position_seal(_EVENT_TYPE_MAX), __ATOMIC_RELEASE);
}

/* A copy of the file's constant part is checked, and only the copy is used: the writer of the file may go on
 * writing. */
static int check_header(struct log_header *header, const void *map, uint64_t size)
{
	if (size < LOG_HEADER_SIZE)
		return LOG_READER_E_CORRUPT;
	log_words_load(header, map, sizeof(*header));
	if (header->magic != LOG_MAGIC)
		return LOG_READER_E_CORRUPT;
	if (header->version != LOG_VERSION)
		return LOG_READER_E_FOREIGN;
	if (header->check != log_check(0, header, offsetof(struct log_header, check)))
		return LOG_READER_E_CORRUPT;
	if (header->block_size != LOG_BLOCK_SIZE)
		return LOG_READER_E_FOREIGN;
	if (header->n_blocks < LOG_BLOCKS_MIN ||
	    header->n_blocks != (size - LOG_HEADER_SIZE) / LOG_BLOCK_SIZE ||
	    (size - LOG_HEADER_SIZE) % LOG_BLOCK_SIZE != 0)
		return LOG_READER_E_CORRUPT;
	return 0;
}

static int load(const uint64_t *word, uint64_t *position)
{
	bool ok;

	*position = log_position_open(__atomic_load_n(word, __ATOMIC_ACQUIRE), &ok);
	return ok ? 0 : LOG_READER_E_CORRUPT;
}

static int load_tail(const struct log_reader *reader, uint64_t *tail)
{
	int r = load(&((const struct log_header *)reader->map)->tail, tail);

	return r ? r : *tail % LOG_BLOCK_SIZE ? LOG_READER_E_CORRUPT : 0;
}

/* After a copy, and where a record looked wrong: was it overwritten while it was read? Return: if not, @otherwise. */
static int lapped_or(const struct log_reader *reader, int otherwise)
{
	uint64_t tail;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (load_tail(reader, &tail))
		return LOG_READER_E_CORRUPT;
	return reader->position < tail ? LOG_READER_E_LAPPED : otherwise;
}

int log_reader_rewind(struct log_reader *reader)
{
	int r;

	r = load_tail(reader, &reader->position);
	reader->seq = reader->position == 0 ? reader->header.first_seq : 0;
	return r;
}

int log_reader_init(struct log_reader *reader, const void *map, uint64_t size)
{
	int r;

	reader->map = map;
	reader->size = size;
	r = check_header(&reader->header, map, size);
	if (r == 0)
		r = log_schema_check(map, reader->kinds);
	return r ? r : log_reader_rewind(reader);
}

int log_reader_map(struct log_reader *reader, int fd)
{
	struct stat st;
	void *map;

	reader->map = NULL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < LOG_HEADER_SIZE || (uint64_t)st.st_size > SIZE_MAX)
		return -EBADMSG;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	switch (log_reader_init(reader, map, (uint64_t)st.st_size)) {
	case 0:
		return 0;
	case LOG_READER_E_FOREIGN:
		return -EPROTONOSUPPORT;
	default:
		return -EBADMSG;
	}
}

void log_reader_unmap(struct log_reader *reader)
{
	if (reader->map)
		munmap((void *)(uintptr_t)reader->map, reader->size);
	reader->map = NULL;
}

/* Copy the record at the reader's position, or find that its block ends there (a size of 0). */
static int copy_record(struct log_reader *reader, uint64_t head)
{
	uint64_t left = BLOCK_LEFT(reader->position);
	uint64_t at = LOG_HEADER_SIZE + reader->position % (reader->header.n_blocks * LOG_BLOCK_SIZE);
	struct log_record *record = (struct log_record *)reader->record;

	/* Positions are multiples of 8, so these 8 bytes are within the block. */
	log_words_load(record, reader->map + at, 8);
	if (record->size == 0 && record->length == 0)
		return 0;
	if (record->size < sizeof(*record) || record->size % 8 != 0 || record->size > left ||
	    record->size > sizeof(reader->record) || record->size > head - reader->position ||
	    record->length > record->size - sizeof(*record))
		return LOG_READER_E_CORRUPT;
	log_words_load(reader->record + 8, reader->map + at + 8, record->size - 8);
	return 0;
}

/* The event of a whole record. A newer broker may have continued the log since its header was read. */
static int unpack_record(struct log_reader *reader, struct fb_event *event)
{
	const struct log_record *record = (const struct log_record *)reader->record;
	int r = fb_event_unpack(event, record->data, record->length);

	if (r < 0)
		r = fb_event_unpack_newer(event, record->data, record->length, reader->kinds);
	if (r < 0) {
		r = log_schema_check((const struct log_header *)reader->map, reader->kinds);
		if (r)
			return r;
		r = fb_event_unpack_newer(event, record->data, record->length, reader->kinds);
	}
	return r < 0 || !EVENT_HAS(event, seq) || event->seq != record->seq ? LOG_READER_E_CORRUPT : 0;
}

int log_reader_next(struct log_reader *reader, struct fb_event *event)
{
	const struct log_header *header = (const struct log_header *)reader->map;
	struct log_record *record = (struct log_record *)reader->record;
	uint64_t head;
	int r;

	r = load(&header->head, &head);
	if (r)
		return r;
	for (;;) {
		if (reader->position == head)
			return lapped_or(reader, LOG_READER_E_END);
		if (reader->position > head ||
		    head - reader->position > reader->header.n_blocks * LOG_BLOCK_SIZE ||
		    reader->position % 8 != 0)
			return lapped_or(reader, LOG_READER_E_CORRUPT);
		r = lapped_or(reader, copy_record(reader, head));
		if (r)
			return r;
		if (record->size != 0)
			break;
		/* A block begins with a record, and is ended only where the next one follows. */
		if (reader->position % LOG_BLOCK_SIZE == 0 ||
		    head - reader->position <= BLOCK_LEFT(reader->position))
			return LOG_READER_E_CORRUPT;
		reader->position += BLOCK_LEFT(reader->position);
	}
	if (record->check != log_record_check(record))
		return lapped_or(reader, LOG_READER_E_CORRUPT);
	if (reader->seq != 0 && record->seq != reader->seq)
		return LOG_READER_E_CORRUPT;
	r = unpack_record(reader, event);
	if (r)
		return r;
	reader->seq = record->seq + 1;
	reader->position += record->size;
	return 0;
}

/* Move to a record and learn its number, but do not take it. */
static int move_to(struct log_reader *reader, uint64_t position)
{
	struct fb_event event;
	int r;

	reader->position = position;
	reader->seq = position == 0 ? reader->header.first_seq : 0;
	r = log_reader_next(reader, &event);
	if (r == 0) {
		reader->seq = event.seq;
		reader->position = position;
	}
	return r;
}

/* To the tail, which may move meanwhile. Return: 0, LOG_READER_E_END in an empty log, LOG_READER_E_CORRUPT. */
static int move_to_tail(struct log_reader *reader)
{
	int r = LOG_READER_E_LAPPED;

	for (int try = 0; r == LOG_READER_E_LAPPED && try < TRIES; try++) {
		r = log_reader_rewind(reader);
		if (r == 0)
			r = move_to(reader, reader->position);
	}
	/* A log that is not empty has a record at its tail. */
	if (r == LOG_READER_E_LAPPED || (r == LOG_READER_E_END && reader->position != 0))
		return LOG_READER_E_CORRUPT;
	return r;
}

int log_reader_resume(struct log_reader *reader, struct log_loss *loss)
{
	uint64_t expected = reader->seq;
	int r;

	*loss = (struct log_loss){};
	r = move_to_tail(reader);
	if (r == LOG_READER_E_END || (r == 0 && reader->seq < expected))
		return LOG_READER_E_CORRUPT;
	if (r != 0 || expected == 0 || reader->seq == expected)
		return r;
	*loss = (struct log_loss){ expected, reader->seq - 1, reader->seq - expected };
	return 0;
}

/* Move to the last block that begins with @seq or an earlier number, as the block of the tail does. */
static int find_block(struct log_reader *reader, uint64_t seq)
{
	const struct log_header *header = (const struct log_header *)reader->map;
	uint64_t low = reader->position / LOG_BLOCK_SIZE, high;
	int r = load(&header->head, &high);

	if (r)
		return r;
	if (high <= reader->position || high - reader->position > reader->header.n_blocks * LOG_BLOCK_SIZE)
		return lapped_or(reader, LOG_READER_E_CORRUPT);
	high = (high - 1) / LOG_BLOCK_SIZE;
	while (low < high) {
		uint64_t middle = low + (high - low + 1) / 2;

		r = move_to(reader, middle * LOG_BLOCK_SIZE);
		if (r)
			return r;
		if (reader->seq > seq)
			high = middle - 1;
		else
			low = middle;
	}
	return move_to(reader, low * LOG_BLOCK_SIZE);
}

/* One attempt: the writer may lap it. */
static int try_seek(struct log_reader *reader, uint64_t seq)
{
	struct fb_event event;
	int r = move_to_tail(reader);

	if (r == LOG_READER_E_END) /* nothing was written yet */
		return seq == reader->seq ? 0 : seq < reader->seq ? LOG_READER_E_GONE : LOG_READER_E_AHEAD;
	if (r != 0)
		return r;
	if (reader->seq > seq)
		return LOG_READER_E_GONE;
	r = find_block(reader, seq);
	if (r == 0 && reader->seq > seq)
		return LOG_READER_E_CORRUPT;
	/* The block has no more records than that. If @seq is not among them, the block is the last one, and @seq is ahead. */
	for (int n = 0; r == 0 && reader->seq != seq && n < LOG_BLOCK_SIZE / (int)sizeof(struct log_record);
	     n++)
		r = log_reader_next(reader, &event);
	if (r == LOG_READER_E_END || (r == 0 && reader->seq != seq))
		return LOG_READER_E_AHEAD;
	return r;
}

int log_reader_seek(struct log_reader *reader, uint64_t seq)
{
	int r = LOG_READER_E_LAPPED;

	for (int try = 0; r == LOG_READER_E_LAPPED && try < TRIES; try++)
		r = try_seek(reader, seq);
	return r == LOG_READER_E_LAPPED ? LOG_READER_E_CORRUPT : r;
}
