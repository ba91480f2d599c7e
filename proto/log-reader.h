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
	_Alignas(8) unsigned char record[sizeof(struct log_record) + EVENT_PACKED_MAX +
					 8]; /* the copy of the last one */
};

enum {
	_LOG_READER_E_SUCCESS,
	LOG_READER_E_END,    /* at the head: nothing more for now */
	LOG_READER_E_LAPPED, /* the writer has overwritten this place: log_reader_rewind() goes on at the tail */
	LOG_READER_E_CORRUPT, /* this was not written by a broker, or was changed since */
	LOG_READER_E_FOREIGN, /* another version, schema, byte order or word size */
};

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
 * Its texts are valid until the next call. Return: 0, LOG_READER_E_END, LOG_READER_E_LAPPED, LOG_READER_E_CORRUPT.
 */
int log_reader_next(struct log_reader *reader, struct fb_event *event);
