// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log-reader.h"

/* A writer does not lap a reader so many times in a row while it copies one record: the tail was forged. */
#define TRIES 1000

/*
 * read(2) may copy a word of the header in parts while the broker writes it. Nobody has seen that happen; its parity shows it,
 * and it does not happen so many times in a row.
 */
#define TORN_TRIES 16

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

/* Copy a part of the file. Return: 0, or LOG_READER_E_CORRUPT if the file ends before. */
static int fetch(const struct log_reader *reader, uint64_t offset, void *to, uint64_t size)
{
	ssize_t n;

	if (reader->map) {
		log_words_load(to, reader->map + offset, size);
		return 0;
	}
	for (uint64_t done = 0; done < size; done += (uint64_t)n) {
		do
			n = pread(reader->fd, (unsigned char *)to + done, size - done,
				  (off_t)(offset + done));
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return LOG_READER_E_CORRUPT;
	}
	return 0;
}

/* A copy of the file's constant part is checked, and only the copy is used: the writer of the file may go on
 * writing. */
static int check_header(struct log_reader *reader)
{
	struct log_header *header = &reader->header;
	uint64_t size = reader->size;

	if (size < LOG_HEADER_SIZE)
		return LOG_READER_E_CORRUPT;
	if (fetch(reader, 0, header, sizeof(*header)))
		return LOG_READER_E_CORRUPT;
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

/* The head or the tail, by its offset in the header. */
static int load(const struct log_reader *reader, size_t offset, uint64_t *position)
{
	bool ok = false;
	uint64_t word;

	if (reader->map) {
		word = __atomic_load_n((const uint64_t *)(reader->map + offset), __ATOMIC_ACQUIRE);
		*position = log_position_open(word, &ok);
		return ok ? 0 : LOG_READER_E_CORRUPT;
	}
	for (int try = 0; !ok && try < TORN_TRIES; try++) {
		if (fetch(reader, offset, &word, sizeof(word)))
			return LOG_READER_E_CORRUPT;
		*position = log_position_open(word, &ok);
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return ok ? 0 : LOG_READER_E_CORRUPT;
}

static int load_tail(const struct log_reader *reader, uint64_t *tail)
{
	int r = load(reader, offsetof(struct log_header, tail), tail);

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

static int begin(struct log_reader *reader, const void *map, int fd, uint64_t size)
{
	int r;

	reader->map = map;
	reader->fd = fd;
	reader->size = size;
	reader->head = reader->copied_from = reader->copied_until = 0;
	r = check_header(reader);
	/* The copy of a file has the part that grows, too. */
	if (r == 0)
		r = log_schema_check(map ? map : &reader->header, reader->kinds);
	return r ? r : log_reader_rewind(reader);
}

int log_reader_init(struct log_reader *reader, const void *map, uint64_t size)
{
	return begin(reader, map, -1, size);
}

int log_reader_open(struct log_reader *reader, int fd)
{
	struct stat st;
	char byte;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < LOG_HEADER_SIZE)
		return -EBADMSG;
	if (pread(fd, &byte, 1, 0) < 0)
		return -errno;
	switch (begin(reader, NULL, fd, (uint64_t)st.st_size)) {
	case 0:
		return 0;
	case LOG_READER_E_FOREIGN:
		return -EPROTONOSUPPORT;
	default:
		return -EBADMSG;
	}
}

/* Is the record at the reader's position, or the end of its block, among those that were copied? */
static bool is_copied(struct log_reader *reader)
{
	uint64_t left = reader->copied_until - reader->position;

	if (reader->position < reader->copied_from || reader->position >= reader->copied_until)
		return false;
	/* In a damaged file a position can be anywhere. */
	if (left < sizeof(struct log_record) || (reader->position - reader->copied_from) % 8 != 0)
		return false;
	reader->record = (const struct log_record *)(reader->copy + (reader->position - reader->copied_from));
	return reader->record->size <= left;
}

static int check_size(const struct log_reader *reader)
{
	const struct log_record *record = reader->record;

	if (record->size == 0 && record->length == 0)
		return 0;
	if (record->size < sizeof(*record) || record->size % 8 != 0 ||
	    record->size > BLOCK_LEFT(reader->position) || record->size > sizeof(reader->copy) ||
	    record->size > reader->head - reader->position || record->length > record->size - sizeof(*record))
		return LOG_READER_E_CORRUPT;
	return 0;
}

/* Copy the record at the reader's position, or find that its block ends there (a size of 0). */
static int copy_record(struct log_reader *reader)
{
	uint64_t at = LOG_HEADER_SIZE + reader->position % (reader->header.n_blocks * LOG_BLOCK_SIZE);
	uint64_t size = reader->head - reader->position;
	int r;

	reader->record = (const struct log_record *)reader->copy;
	if (reader->map) {
		/* Positions are multiples of 8, so these 8 bytes are within the block. */
		log_words_load(reader->copy, reader->map + at, 8);
		r = check_size(reader);
		if (r == 0 && reader->record->size > 0)
			log_words_load(reader->copy + 8, reader->map + at + 8, reader->record->size - 8);
		return r;
	}
	if (size > BLOCK_LEFT(reader->position))
		size = BLOCK_LEFT(reader->position);
	if (size > sizeof(reader->copy))
		size = sizeof(reader->copy);
	reader->copied_from = reader->copied_until = reader->position;
	r = fetch(reader, at, reader->copy, size);
	return r ? r : check_size(reader);
}

/* Have the record at the reader's position, or the end of its block, in the copy. Return: as log_reader_next(). */
static int have_record(struct log_reader *reader)
{
	uint64_t size;
	int r;

	if (is_copied(reader))
		return check_size(reader);
	if (reader->position == reader->head)
		return lapped_or(reader, LOG_READER_E_END);
	if (reader->position > reader->head ||
	    reader->head - reader->position > reader->header.n_blocks * LOG_BLOCK_SIZE ||
	    reader->position % 8 != 0)
		return lapped_or(reader, LOG_READER_E_CORRUPT);
	r = lapped_or(reader, copy_record(reader));
	if (r || reader->map)
		return r;
	size = reader->head - reader->position;
	if (size > BLOCK_LEFT(reader->position))
		size = BLOCK_LEFT(reader->position);
	reader->copied_until = reader->position + (size > sizeof(reader->copy) ? sizeof(reader->copy) : size);
	return 0;
}

/* The event of a whole record. A newer broker may have continued the log since its header was read. */
static int unpack_record(struct log_reader *reader, struct fb_event *event)
{
	const struct log_record *record = reader->record;
	int r = fb_event_unpack(event, record->data, record->length);

	if (r < 0)
		r = fb_event_unpack_newer(event, record->data, record->length, reader->kinds);
	if (r < 0) {
		struct log_header header;

		r = reader->map ? 0 : fetch(reader, 0, &header, sizeof(header));
		if (r == 0)
			r = log_schema_check(reader->map ? (const struct log_header *)reader->map : &header,
					     reader->kinds);
		if (r)
			return r;
		r = fb_event_unpack_newer(event, record->data, record->length, reader->kinds);
	}
	return r < 0 || !EVENT_HAS(event, seq) || event->seq != record->seq ? LOG_READER_E_CORRUPT : 0;
}

int log_reader_next(struct log_reader *reader, struct fb_event *event)
{
	const struct log_record *record;
	int r = is_copied(reader) ? 0 : load(reader, offsetof(struct log_header, head), &reader->head);

	if (r)
		return r;
	for (;;) {
		r = have_record(reader);
		if (r)
			return r;
		record = reader->record;
		if (record->size != 0)
			break;
		/* A block begins with a record, and is ended only where the next one follows. */
		if (reader->position % LOG_BLOCK_SIZE == 0 ||
		    reader->head - reader->position <= BLOCK_LEFT(reader->position))
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
	uint64_t low = reader->position / LOG_BLOCK_SIZE, high;
	int r = load(reader, offsetof(struct log_header, head), &high);

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
