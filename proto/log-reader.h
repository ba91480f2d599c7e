/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading a log: by the broker that reopens one, by those who map it while it is written, by those who look at a dead
 * one. Trusts nothing that it reads: any content of the file is answered with an error, never with an access outside of it.
 */

#include "event.h"
#include "log-format.h"

struct log_reader {
	const unsigned char *map; /* of the whole file */
	uint64_t size;		  /* of the mapping */
	struct log_header header; /* a checked copy of its constant part */
	uint64_t position;	  /* of the next record */
	uint64_t seq;		  /* that it must have; 0: not known yet */
	uint8_t kinds
		[EVENT_FIELDS_MAX]; /* of fields that only a newer broker knows, see fb_event_unpack_newer() */
	_Alignas(8) unsigned char record[LOG_RECORD_MAX]; /* the copy of the last one */
};

enum {
	_LOG_READER_E_SUCCESS,
	LOG_READER_E_END,    /* at the head: nothing more for now */
	LOG_READER_E_LAPPED, /* the writer has overwritten this place: log_reader_resume() goes on at the tail */
	LOG_READER_E_CORRUPT, /* this was not written by a broker, or was changed since */
	LOG_READER_E_FOREIGN, /* another version, byte order or word size; numbers of fields or types that have another meaning */
	LOG_READER_E_GONE,  /* log_reader_seek(): older than the tail */
	LOG_READER_E_AHEAD, /* log_reader_seek(): later than what comes next */
};

/* Sequence numbers that a reader has not got and will not get. */
struct log_loss {
	uint64_t from, to; /* the first and the last; not set where there are none */
	uint64_t count;
};

_Static_assert(sizeof(struct log_record) + EVENT_PACKED_MAX + 8 <= LOG_RECORD_MAX, "every event fits");

/*
 * log_schema_check() - are the fields and types of a log those of this program, as far as both know them?
 * @header: of the mapped log
 * @kinds: filled with the kinds of fields that are not known here
 * Return: 0, LOG_READER_E_CORRUPT, LOG_READER_E_FOREIGN.
 */
int log_schema_check(const struct log_header *header, uint8_t kinds[static EVENT_FIELDS_MAX]);

/*
 * log_schema_add() - for the writer: add the fields and types of this program to a log that was checked
 * Whatever moment the writer is stopped at, the log stays whole.
 */
void log_schema_add(struct log_header *header);

/*
 * log_reader_init() - check a mapped log, and stand at its oldest record
 * @map, @size: the mapping; stays the caller's, and must outlive the reader
 * Return: 0, LOG_READER_E_CORRUPT, LOG_READER_E_FOREIGN.
 */
int log_reader_init(struct log_reader *reader, const void *map, uint64_t size);

/* log_reader_rewind() - stand at the tail again. Return: 0 or LOG_READER_E_CORRUPT. */
int log_reader_rewind(struct log_reader *reader);

/*
 * log_reader_next() - the next event
 * Its texts are valid until the next call. After LOG_READER_E_LAPPED the reader stands where it stood, and @seq is the number
 * that was to come. Return: 0, LOG_READER_E_END, LOG_READER_E_LAPPED, LOG_READER_E_CORRUPT;
 * LOG_READER_E_FOREIGN: a newer broker has continued the log, and this is an event of a type that is not known here.
 */
int log_reader_next(struct log_reader *reader, struct fb_event *event);

/*
 * log_reader_resume() - after LOG_READER_E_LAPPED: stand at the oldest event that is left, and learn exactly what was lost
 * One that had read nothing had nothing to lose. The next event has the number @seq of the reader, unless it is lapped
 * again: what is lost then begins with that one. Return: 0 or LOG_READER_E_CORRUPT.
 */
int log_reader_resume(struct log_reader *reader, struct log_loss *loss);

/*
 * log_reader_seek() - stand where the next event is the one of a sequence number, be it that which will be written next
 * Return: 0
 *         LOG_READER_E_GONE: it stands at the oldest event; its number, the reader's @seq, is a later one
 *         LOG_READER_E_AHEAD: it stands at the head; what will be written next, @seq, is an earlier one
 *         LOG_READER_E_CORRUPT
 */
int log_reader_seek(struct log_reader *reader, uint64_t seq);
