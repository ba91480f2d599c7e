/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading a log: by the broker that reopens it, by programs that read it while it is written, and by programs that read what a
 * broker has left. The reader trusts nothing: whatever the file contains, the result is an event or an error, never an access
 * outside of the file. The broker has the file mapped; programs read it by pread(2), since a mapping of a file that is cut
 * meanwhile ends a program by SIGBUS.
 */

#include "event.h"
#include "log-format.h"

struct log_reader {
	const unsigned char *map; /* of the whole file; NULL: read @fd */
	int fd;
	uint64_t size;		  /* of the file */
	struct log_header header; /* a checked copy of its constant part */
	uint64_t position;	  /* of the next record */
	uint64_t seq;		  /* that it must have; 0: not known yet */
	uint8_t kinds
		[EVENT_FIELDS_MAX]; /* of fields that only a newer broker knows, see fb_event_unpack_newer() */
	const struct log_record *record; /* the last one, in the copy */
	uint64_t head;			 /* when the copy was made */
	/*
	 * Positions of the copy of a file, as many records as fit. The tail was not beyond the first of them after they were
	 * copied, so they are right, even if they are overwritten in the file. Equal for a mapping, of which one record at a time
	 * is copied.
	 */
	uint64_t copied_from, copied_until;
	_Alignas(8) unsigned char copy[LOG_RECORD_MAX];
};

enum {
	_LOG_READER_E_SUCCESS,
	LOG_READER_E_END, /* at the head: no more events yet */
	LOG_READER_E_LAPPED, /* the writer has overwritten this position: log_reader_resume() continues at the tail */
	LOG_READER_E_CORRUPT, /* this was not written by a broker, or was changed since */
	LOG_READER_E_FOREIGN, /* another version, byte order or word size; numbers of fields or types that have another meaning */
	LOG_READER_E_GONE,  /* log_reader_seek(): older than the tail */
	LOG_READER_E_AHEAD, /* log_reader_seek(): later than what comes next */
};

/* Sequence numbers of events that a reader did not get, and cannot get any more. */
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
 * The log stays valid if the writer is killed at any moment.
 */
void log_schema_add(struct log_header *header);

/*
 * log_reader_init() - check a mapped log, and move to its oldest record
 * @map, @size: the mapping; stays the caller's, and must outlive the reader
 * Return: 0, LOG_READER_E_CORRUPT, LOG_READER_E_FOREIGN.
 */
int log_reader_init(struct log_reader *reader, const void *map, uint64_t size);

/*
 * log_reader_open() - the same with a file
 * @fd: stays the caller's, and must outlive the reader; its offset is not used
 * Return: 0 or a negative errno; -EBADMSG: no log, or a damaged one; -EPROTONOSUPPORT: that of another version or machine.
 */
int log_reader_open(struct log_reader *reader, int fd);

/* log_reader_rewind() - move back to the tail. Return: 0 or LOG_READER_E_CORRUPT. */
int log_reader_rewind(struct log_reader *reader);

/*
 * log_reader_next() - the next event
 * Its texts are valid until the next call. After LOG_READER_E_LAPPED the reader has not moved, and its @seq is the number of
 * the event that it expected. Return: 0, LOG_READER_E_END, LOG_READER_E_LAPPED, LOG_READER_E_CORRUPT;
 * LOG_READER_E_FOREIGN: a newer broker has continued the log, and this is an event of a type that is not known here.
 */
int log_reader_next(struct log_reader *reader, struct fb_event *event);

/*
 * log_reader_resume() - after LOG_READER_E_LAPPED: move to the oldest event that is left, and find out exactly what was lost
 * A reader that had not read anything has not lost anything. The next event has the number @seq of the reader, unless the
 * writer laps it again: that loss begins with this number. Return: 0 or LOG_READER_E_CORRUPT.
 */
int log_reader_resume(struct log_reader *reader, struct log_loss *loss);

/*
 * log_reader_seek() - move to the event with a sequence number, which may be the next one to be written
 * Return: 0
 *         LOG_READER_E_GONE: it is at the oldest event, whose number, the reader's @seq, is a later one
 *         LOG_READER_E_AHEAD: it is at the head; the event that is written next, @seq, is an earlier one
 *         LOG_READER_E_CORRUPT
 */
int log_reader_seek(struct log_reader *reader, uint64_t seq);
