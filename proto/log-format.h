/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The log: one ring file, written by the broker alone, read by anyone who may open it, while it grows and after a crash.
 *
 *   | header page | block 0 | block 1 | … | block n-1 |
 *
 * Positions count bytes since the log was made and never go back; position p lies in block (p / block_size) % n. Records
 * do not cross blocks. A record whose size is 0 ends its block: go on at the next one. [tail, head) holds records with
 * contiguous sequence numbers; the tail is always the beginning of a block.
 *
 * Writer:  publish the new tail, then write the record, then publish the head.
 * Reader:  load the head, copy, then load the tail again: what lies before it may have been overwritten while it was read.
 *
 * Every word that a reader relies on checks itself: the header by @check, positions by a parity of their own, records by
 * @check. A file with any byte of these changed, of another size, boot, schema or machine is not believed.
 */

#include <stdint.h>

#define LOG_MAGIC	UINT64_C(0x676f6c7375626b66) /* "fkbuslog" */
#define LOG_VERSION	1
#define LOG_HEADER_SIZE 4096
#define LOG_BLOCK_SIZE	(64 * 1024)
#define LOG_BLOCKS_MIN	4

struct log_header {
	/* Constant from the moment on when the file gets its name. */
	uint64_t magic;
	uint32_t version;
	uint32_t block_size;
	uint64_t n_blocks;
	uint64_t schema; /* fb_event_schema_hash() */
	uint64_t epoch;	 /* random; the first part of a cursor */
	uint8_t boot_id[16];
	uint64_t first_seq; /* of the first record ever, at position 0 */
	uint64_t check;	    /* log_check() of all before */

	/* Written all the time; see log_position_seal(). */
	uint64_t tail __attribute__((aligned(64)));
	uint64_t head __attribute__((aligned(64)));
};

struct log_record {
	uint32_t size;	 /* of all, header and padding included; a multiple of 8; 0: the block ends here */
	uint32_t length; /* of the packed event */
	uint64_t seq;
	uint64_t check; /* log_record_check() */
	uint8_t data[]; /* fb_event_pack(), then zeros */
};

/*
 * log_check() - a checksum that every change of one 8-byte word changes, and any other change but one in 2^64
 * Each step is a bijection of the state for a given word and of the word for a given state. @size is a multiple of 8.
 */
static inline uint64_t log_check(uint64_t seed, const void *data, uint64_t size)
{
	const unsigned char *at = data;
	uint64_t word;

	for (uint64_t i = 0; i < size; i += sizeof(word)) {
		__builtin_memcpy(&word, at + i, sizeof(word));
		seed = (seed ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		seed ^= seed >> 29;
	}
	return seed;
}

/* The sum of a record: its size, length and sequence number, and its data with the padding. */
static inline uint64_t log_record_check(const struct log_record *record)
{
	return log_check(log_check(LOG_MAGIC, record, 16), record->data, record->size - sizeof(*record));
}

/* The exclusive or of a position's seven bytes, and of a constant, so that a zeroed word is none: finds every change
 * within one byte. */
static inline uint8_t log_position_parity(uint64_t position)
{
	position ^= position >> 32;
	position ^= position >> 16;
	return (uint8_t)(position ^ position >> 8 ^ 0xa5);
}

/* A position as it stands in the file: 56 bits, 72 PB, in the upper part, their parity in the lowest byte. */
static inline uint64_t log_position_seal(uint64_t position)
{
	return position << 8 | log_position_parity(position & UINT64_MAX >> 8);
}

/* The way back; @ok says whether it is whole. */
static inline uint64_t log_position_open(uint64_t sealed, _Bool *ok)
{
	uint64_t position = sealed >> 8;

	*ok = log_position_parity(position) == (uint8_t)sealed;
	return position;
}
