/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The log: one ring file. The broker alone writes it; every program that may open it can read it, while it grows and after
 * a crash.
 *
 *   | header page | block 0 | block 1 | … | block n-1 |
 *
 * Positions count bytes since the log was made and never go back; position p lies in block (p / block_size) % n. Records
 * do not cross blocks. A record whose size is 0 ends its block: the next record begins the next block. [tail, head) holds records
 * with contiguous sequence numbers; the tail is always the beginning of a block.
 *
 * Writer:  publish the new tail, then write the record, then publish the head.
 * Reader:  load the head, copy, then load the tail again: a record before the tail may have been overwritten while it was read.
 *
 * Both copy by words of 8 bytes, each of them atomic (log_words_store(), log_words_load()): if a record is overwritten while
 * it is read, the reader notices that afterwards, and the behaviour is defined.
 *
 * A reader at the head loads the word @wake, looks at the head again, and waits with FUTEX_WAIT until the word changes; a
 * read-only mapping is sufficient. The writer publishes the head, then changes the word, then wakes: with a delay under load,
 * see log_wake().
 *
 * While a broker writes, it holds a lock on the whole file (F_OFD_SETLK, F_WRLCK), which only programs can take that may
 * write it. A file without a name and without a lock will not be written any more.
 *
 * Every word that a reader relies on has a check: the first part of the header @check, positions a parity, records @check. A
 * file in which any byte of these has changed, or of another size, boot, version or machine, is rejected.
 *
 * Fields and types of events are only ever added, and the header says which ones the records may have: @types is above the
 * number of each type, and @fields has a word for each field. A broker continues the log of an older one: it adds the fields and
 * types that it knows before it writes a record. A reader skips fields that it does not know, since their words say how long
 * they are. It does not read a log with types that it does not know.
 */

#include <stddef.h>
#include <stdint.h>

#define LOG_MAGIC	UINT64_C(0x676f6c7375626b66) /* "fkbuslog" */
#define LOG_VERSION	3
#define LOG_HEADER_SIZE 4096
#define LOG_BLOCK_SIZE	(64 * 1024)
#define LOG_BLOCKS_MIN	4
#define LOG_FIELDS_MAX	128
#define LOG_RECORD_MAX	(LOG_BLOCK_SIZE / 2) /* no record is longer, whatever fields are added */

struct log_header {
	/* Constant from the moment on when the file gets its name. */
	uint64_t magic;
	uint32_t version;
	uint32_t block_size;
	uint64_t n_blocks;
	uint64_t epoch; /* random; the first part of a cursor */
	uint8_t boot_id[16];
	uint64_t first_seq; /* of the first record ever, at position 0 */
	uint64_t check;	    /* log_check() of all before */

	/* Written all the time; see log_position_seal(). */
	uint64_t tail __attribute__((aligned(64)));
	uint64_t head __attribute__((aligned(64)));

	uint32_t wake __attribute__((aligned(64))); /* any value: it has no meaning */

	/* Grow when a newer broker continues the log. Sealed as positions are. */
	uint64_t types __attribute__((aligned(64))); /* no record has a type of this number or above */
	uint64_t fields[LOG_FIELDS_MAX];	     /* event_field_word(); 0: no record has the field */
};

struct log_record {
	uint32_t size;	 /* of all, header and padding included; a multiple of 8; 0: the block ends here */
	uint32_t length; /* of the packed event */
	uint64_t seq;
	uint64_t check; /* log_record_check() */
	uint8_t data[]; /* fb_event_pack(), then zeros */
};

/* Others read it too: forkbus-ring(7). */
_Static_assert(offsetof(struct log_header, check) == 56 && offsetof(struct log_header, tail) == 64 &&
		       offsetof(struct log_header, head) == 128 && offsetof(struct log_header, wake) == 192 &&
		       offsetof(struct log_header, types) == 256 &&
		       offsetof(struct log_header, fields) == 264 &&
		       sizeof(struct log_header) <= LOG_HEADER_SIZE,
	       "the header is what LOG_VERSION stands for");
_Static_assert(sizeof(struct log_record) == 24, "and so is the record");

/* One word more under a checksum. */
static inline uint64_t log_check_word(uint64_t seed, uint64_t word)
{
	seed = (seed ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return seed ^ seed >> 29;
}

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
		seed = log_check_word(seed, word);
	}
	return seed;
}

/* The checksum of a record: its size, length and sequence number, and its data with the padding. */
static inline uint64_t log_record_check(const struct log_record *record)
{
	return log_check(log_check(LOG_MAGIC, record, 16), record->data, record->size - sizeof(*record));
}

/* 8 bytes of a log, whatever their type is */
typedef uint64_t __attribute__((may_alias)) log_word_t;

/* log_words_load() - copy from a log that may be written meanwhile; @from is aligned, @size a multiple of 8 */
static inline void log_words_load(void *to, const void *from, uint64_t size)
{
	const log_word_t *word = from;

	for (uint64_t i = 0; i < size / 8; i++)
		((log_word_t *)to)[i] = __atomic_load_n(&word[i], __ATOMIC_RELAXED);
}

/* log_words_store() - the same into a log that may be read meanwhile */
static inline void log_words_store(void *to, const void *from, uint64_t size)
{
	log_word_t *word = to;

	for (uint64_t i = 0; i < size / 8; i++)
		__atomic_store_n(&word[i], ((const log_word_t *)from)[i], __ATOMIC_RELAXED);
}

/*
 * log_record_store() - set the @check of a record that is otherwise complete, and store it: the data first, so that one pass
 * stores and sums it
 * Any order is correct: no reader looks at a record before the head is published after it.
 */
static inline void log_record_store(void *to, struct log_record *record)
{
	const log_word_t *data = (const log_word_t *)record->data;
	log_word_t *word = (log_word_t *)((struct log_record *)to)->data;
	uint64_t n = (record->size - sizeof(*record)) / 8;
	uint64_t check = log_check(LOG_MAGIC, record, 16);

	for (uint64_t i = 0; i < n; i++) {
		uint64_t value = data[i];

		__atomic_store_n(&word[i], value, __ATOMIC_RELAXED);
		check = log_check_word(check, value);
	}
	record->check = check;
	log_words_store(to, record, sizeof(*record));
}

/*
 * The exclusive or of a position's seven bytes and of a constant, so that a word of zeros is invalid: it detects every change
 * within one byte.
 */
static inline uint8_t log_position_parity(uint64_t position)
{
	position ^= position >> 32;
	position ^= position >> 16;
	return (uint8_t)(position ^ position >> 8 ^ 0xa5);
}

/* A position as it is stored in the file: 56 bits (72 PB) in the upper part, their parity in the lowest byte. */
static inline uint64_t log_position_seal(uint64_t position)
{
	return position << 8 | log_position_parity(position & UINT64_MAX >> 8);
}

/* The inverse; @ok: whether the parity is right. */
static inline uint64_t log_position_open(uint64_t sealed, _Bool *ok)
{
	uint64_t position = sealed >> 8;

	*ok = log_position_parity(position) == (uint8_t)sealed;
	return position;
}
