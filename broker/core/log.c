// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/message.h"
#include "core/log-file.h"
#include "core/log.h"
#include "log-reader.h"

/*
 * The most records that become visible together. A live reader polls the head: after each write, the cache line has to come
 * back from the reader's processor, which takes as long as making a record.
 */
#define SHOW_RECORDS 16

struct log {
	struct log_file file;
	struct log_header *header; /* of the file */
	uint64_t n_blocks;
	uint8_t kinds[EVENT_FIELDS_MAX]; /* of fields of a newer broker, which wrote the log before */

	uint64_t epoch;
	uint64_t tail, head; /* positions */
	unsigned int hidden; /* records that are not visible by the file's head yet */
	uint64_t next_seq;
	uint64_t last_time;
	uint64_t woken;		       /* the head at the last wake-up */
	uint64_t wake_due_usec;	       /* CLOCK_MONOTONIC: none before */
	struct log_summary *summaries; /* of each block */
	_Alignas(8) unsigned char scratch[sizeof(struct log_record) + EVENT_PACKED_MAX + 8];
};

DEFINE_CLEANUP(struct log, log_free)

static struct log_summary *summary_at(const struct log *log, uint64_t position)
{
	return &log->summaries[position / LOG_BLOCK_SIZE % log->n_blocks];
}

static struct log_record *record_at(const struct log *log, uint64_t position)
{
	unsigned char *blocks = (unsigned char *)log->header + LOG_HEADER_SIZE;

	return (struct log_record *)(blocks + position % (log->n_blocks * LOG_BLOCK_SIZE));
}

static uint64_t block_end(uint64_t position)
{
	return position - position % LOG_BLOCK_SIZE + LOG_BLOCK_SIZE;
}

static void publish(uint64_t *word, uint64_t position)
{
	__atomic_store_n(word, log_position_seal(position), __ATOMIC_RELEASE);
}

/*
 * The file was cut, or its storage failed. Its events are lost for those who have not read them yet, and their cursors notice
 * that as after any overwriting. The numbers go on.
 */
static void renew(struct log *log)
{
	int r = log_file_renew(&log->file, log->epoch, log->next_seq);

	if (r < 0)
		msg_err("the log was cut, or its storage failed; until the next start it is only in memory: "
			"%s",
			strerror(-r));
	else
		msg_warning("the log was cut, or its storage failed: a new one begins");
	log->header = log->file.header;
	log->tail = log->head = 0;
	log->hidden = 0;
	log->woken = UINT64_MAX;
	memset(log->summaries, 0, log->n_blocks * sizeof(*log->summaries));
}

static void show(struct log *log)
{
	if (log->hidden > 0)
		publish(&log->header->head, log->head);
	log->hidden = 0;
}

void log_show(struct log *log)
{
	if (__builtin_expect(log->file.cut, 0))
		renew(log);
	show(log);
}

static void summarize(struct log *log, uint64_t position, const struct fb_event *event)
{
	struct log_summary *summary = summary_at(log, position);

	if (position % LOG_BLOCK_SIZE == 0)
		*summary = (struct log_summary){ .first_seq = event->seq };
	summary->n_records++;
	summary->types |= EVENT_TYPE_BIT(event->type);
	if (EVENT_HAS(event, uid))
		summary->uids |= log_uid_bit(event->uid);
	if (EVENT_HAS(event, old_uid))
		summary->uids |= log_uid_bit(event->old_uid);
	if (EVENT_HAS(event, time_usec)) {
		if (event->time_usec > summary->last_time_usec)
			summary->last_time_usec = event->time_usec;
		log->last_time = event->time_usec;
	}
}

/* Read the whole file: every record must be intact, and the last one must end exactly at the head. */
static const char *validate(struct log *log)
{
	_cleanup_free_ struct log_reader *reader = malloc(sizeof(*reader));
	struct fb_event event;
	bool head_ok;
	int r;

	if (!reader)
		return "out of memory while checking it";
	if (log_reader_init(reader, log->header, log->file.size) != 0)
		return "it is damaged";
	log->tail = reader->position;
	log->head = log_position_open(log->header->head, &head_ok);
	if (log->head == 0)
		log->next_seq = reader->header.first_seq;
	while ((r = log_reader_next(reader, &event)) == 0) {
		summarize(log, reader->position - reader->record->size, &event);
		log->next_seq = event.seq + 1;
	}
	/* An empty log has its head at 0; any other has records. */
	if (r != LOG_READER_E_END || !head_ok || log->next_seq == 0)
		return "it is damaged";
	memcpy(log->kinds, reader->kinds, sizeof(log->kinds));
	log_schema_add(log->header);
	return NULL;
}

static void begin(struct log *log)
{
	log->header = log->file.header;
	log->epoch = log->header->epoch;
	log->tail = log->head = log->last_time = 0;
	log->next_seq = log->hidden = 0;
	log->woken = UINT64_MAX; /* the previous writer may have left a reader to wake */
	memset(log->summaries, 0, log->n_blocks * sizeof(*log->summaries));
	memset(log->kinds, 0, sizeof(log->kinds));
}

int log_open(struct log **ret, const char *path, uint64_t size, unsigned int gid)
{
	_cleanup_(log_free_p) struct log *log = calloc(1, sizeof(*log));
	const char *reason;
	int r;

	if (!log)
		return -ENOMEM;
	log->file.directory = log->file.lock = log->file.fd = -1;
	log->n_blocks = size / LOG_BLOCK_SIZE < LOG_BLOCKS_MIN ? LOG_BLOCKS_MIN : size / LOG_BLOCK_SIZE;
	log->summaries = calloc(log->n_blocks, sizeof(*log->summaries));
	if (!log->summaries)
		return -ENOMEM;
	r = log_file_open(&log->file, path, log->n_blocks, gid);
	if (r)
		return r;
	begin(log);
	reason = log->file.origin == LOG_REOPENED ? validate(log) : NULL;
	if (reason) {
		r = log_file_replace(&log->file, reason);
		if (r < 0)
			return r;
		begin(log);
	}
	if (log->next_seq == 0)
		log->next_seq = log->header->first_seq;
	*ret = steal(log);
	return 0;
}

struct log *log_free(struct log *log)
{
	if (!log)
		return NULL;
	if (log->file.header)
		(void)log_wake(log, UINT64_MAX);
	log_file_close(&log->file);
	free(log->summaries);
	free(log);
	return NULL;
}

enum log_origin log_origin(const struct log *log)
{
	return log->file.origin;
}

const char *log_origin_reason(const struct log *log)
{
	return log->file.reason;
}

/* Enter the next block. If the ring is full, the oldest block is dropped first. */
static void enter_block(struct log *log, uint64_t position)
{
	uint64_t oldest = position + LOG_BLOCK_SIZE - log->n_blocks * LOG_BLOCK_SIZE;

	if (position + LOG_BLOCK_SIZE < log->n_blocks * LOG_BLOCK_SIZE || oldest <= log->tail)
		return;
	/* The tail never goes past the visible head. */
	show(log);
	log->tail = oldest;
	publish(&log->header->tail, oldest);
	/* A reader that sees a byte of what is written next also sees the new tail. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The record of an event as in the log, except for its checksum. */
static struct log_record *make_record(struct log *log, const struct fb_event *event)
{
	struct log_record *record = (struct log_record *)log->scratch;
	size_t length = fb_event_pack(event, record->data);
	size_t padding = -length % 8;

	/* Writes the longest possible padding: there is room for it. */
	memset(record->data + length, 0, 8);
	record->size = (uint32_t)(sizeof(*record) + length + padding);
	record->length = (uint32_t)length;
	record->seq = event->seq;
	return record;
}

static void store(struct log *log, struct log_record *record, const struct fb_event *event)
{
	uint64_t position = log->head;

	if (position + record->size > block_end(position) && position % LOG_BLOCK_SIZE != 0) {
		log_words_store(record_at(log, position), &(uint64_t){ 0 }, 8);
		position = block_end(position);
	}
	if (position % LOG_BLOCK_SIZE == 0)
		enter_block(log, position);

	log_record_store(record_at(log, position), record);
	summarize(log, position, event);
	log->head = position + record->size;
}

uint64_t log_append(struct log *log, struct fb_event *event)
{
	struct log_record *record;

	EVENT_SET(event, seq, log->next_seq);
	record = make_record(log, event);
	store(log, record, event);
	if (__builtin_expect(log->file.cut, 0)) {
		renew(log);
		store(log, record, event);
	}
	log->next_seq++;
	if (++log->hidden == SHOW_RECORDS)
		show(log);
	return event->seq;
}

uint64_t log_wake(struct log *log, uint64_t now_usec)
{
	uint32_t *word = &log->header->wake;
	uint64_t pause;
	long woken;

	log_show(log);
	if (log->woken == log->head)
		return 0;
	if (now_usec < log->wake_due_usec)
		return log->wake_due_usec - now_usec;
	log->woken = log->head;
	__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
	woken = syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	pause = woken > 0 ? (uint64_t)woken * LOG_WAKE_WAITER_USEC : 0;
	log->wake_due_usec = now_usec + (pause > LOG_WAKE_USEC ? pause : LOG_WAKE_USEC);
	return 0;
}

int log_share(const struct log *log)
{
	return log_file_share(&log->file);
}

uint64_t log_epoch(const struct log *log)
{
	return log->epoch;
}

uint64_t log_first(const struct log *log)
{
	return log->head == log->tail ? log->next_seq : summary_at(log, log->tail)->first_seq;
}

uint64_t log_next(const struct log *log)
{
	return log->next_seq;
}

uint64_t log_size(const struct log *log)
{
	return log->n_blocks * LOG_BLOCK_SIZE;
}

uint64_t log_used(const struct log *log)
{
	return log->head - log->tail;
}

uint64_t log_first_time(const struct log *log)
{
	struct log_place place = { log_first(log), log->tail };
	struct fb_event event;

	while (log_read(log, &place, &event) == 0)
		if (EVENT_HAS(&event, time_usec))
			return event.time_usec;
	return 0;
}

uint64_t log_last_time(const struct log *log)
{
	return log->last_time;
}

/* The block with a sequence number that the log has; blocks are ordered. */
static uint64_t find_block(const struct log *log, uint64_t seq)
{
	uint64_t low = log->tail / LOG_BLOCK_SIZE;
	uint64_t high = (log->head - 1) / LOG_BLOCK_SIZE;

	while (low < high) {
		uint64_t middle = low + (high - low + 1) / 2;

		if (summary_at(log, middle * LOG_BLOCK_SIZE)->first_seq > seq)
			high = middle - 1;
		else
			low = middle;
	}
	return low * LOG_BLOCK_SIZE;
}

int log_seek(const struct log *log, uint64_t seq, struct log_place *place)
{
	uint64_t position;

	if (seq < log_first(log))
		return LOG_E_GONE;
	if (seq >= log->next_seq)
		return LOG_E_END;
	position = find_block(log, seq);
	for (uint64_t n = seq - summary_at(log, position)->first_seq; n > 0; n--)
		position += record_at(log, position)->size;
	*place = (struct log_place){ seq, position };
	return 0;
}

uint64_t log_seek_time(const struct log *log, uint64_t time_usec)
{
	struct log_place place;
	struct fb_event event;

	for (uint64_t position = log->tail; position < log->head; position = block_end(position)) {
		if (summary_at(log, position)->last_time_usec < time_usec)
			continue;
		place = (struct log_place){ summary_at(log, position)->first_seq, position };
		while (log_read(log, &place, &event) == 0)
			if (EVENT_HAS(&event, time_usec) && event.time_usec >= time_usec)
				return event.seq;
	}
	return log->next_seq;
}

int log_read(const struct log *log, struct log_place *place, struct fb_event *event)
{
	const struct log_record *record;

	if (place->position >= log->head)
		return LOG_E_END;
	record = record_at(log, place->position);
	if (place->position % LOG_BLOCK_SIZE != 0 && record->size == 0) {
		place->position = block_end(place->position);
		if (place->position >= log->head)
			return LOG_E_END;
		record = record_at(log, place->position);
	}
	if (fb_event_unpack(event, record->data, record->length) < 0 &&
	    fb_event_unpack_newer(event, record->data, record->length, log->kinds) < 0)
		return LOG_E_END; /* cannot be: this process wrote or checked it */
	place->position += record->size;
	place->seq = event->seq + 1;
	return 0;
}

bool log_skip(const struct log *log, struct log_place *place, uint32_t types, uint64_t uids)
{
	const struct log_summary *summary = summary_at(log, place->position);

	if (place->position >= log->head || block_end(place->position) > log->head)
		return false;
	if (summary->types & EVENT_TYPES_ALWAYS)
		return false;
	/* A reader that wants all users also wants the events that have no user. */
	if ((summary->types & types) && (uids == UINT64_MAX || summary->uids & uids))
		return false;
	place->seq = summary->first_seq + summary->n_records;
	place->position = block_end(place->position);
	return true;
}
