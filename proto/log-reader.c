// SPDX-License-Identifier: LGPL-2.1-or-later
#include "log-reader.h"

#define BLOCK_LEFT(_position) (LOG_BLOCK_SIZE - (_position) % LOG_BLOCK_SIZE)

/* A copy of the file's constant part is checked, and only the copy is used: whoever writes the file may go on
 * writing. */
static int check_header(struct log_header *header, const void *map, uint64_t size)
{
	if (size < LOG_HEADER_SIZE)
		return LOG_READER_E_CORRUPT;
	memcpy(header, map, sizeof(*header));
	if (header->magic != LOG_MAGIC)
		return LOG_READER_E_CORRUPT;
	if (header->version != LOG_VERSION)
		return LOG_READER_E_FOREIGN;
	if (header->check != log_check(0, header, offsetof(struct log_header, check)))
		return LOG_READER_E_CORRUPT;
	if (header->schema != fb_event_schema_hash() || header->block_size != LOG_BLOCK_SIZE)
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

/* Also where a record looked wrong: was it overwritten while it was read, or is the file itself bad? */
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
	return r ? r : log_reader_rewind(reader);
}

/* Copy the record at the reader's position, or see that its block ends there (a size of 0). */
static int copy_record(struct log_reader *reader, uint64_t head)
{
	uint64_t left = BLOCK_LEFT(reader->position);
	uint64_t at = LOG_HEADER_SIZE + reader->position % (reader->header.n_blocks * LOG_BLOCK_SIZE);
	struct log_record *record = (struct log_record *)reader->record;

	/* Positions are multiples of 8, so these 8 bytes are within the block. */
	memcpy(record, reader->map + at, 8);
	if (record->size == 0 && record->length == 0)
		return 0;
	if (record->size < sizeof(*record) || record->size % 8 != 0 || record->size > left ||
	    record->size > sizeof(reader->record) || record->size > head - reader->position ||
	    record->length > record->size - sizeof(*record))
		return LOG_READER_E_CORRUPT;
	memcpy(reader->record + 8, reader->map + at + 8, record->size - 8);
	return 0;
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
	if (fb_event_unpack(event, record->data, record->length) < 0 || !EVENT_HAS(event, seq) ||
	    event->seq != record->seq)
		return LOG_READER_E_CORRUPT;
	reader->seq = record->seq + 1;
	reader->position += record->size;
	return 0;
}
