/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Encoded events (lines, for short), and a cache of them: a chunk holds the lines of one view for a range of sequence
 * numbers. Chunks are taken from a pool of fixed size; when all are in use, the least recently used one is evicted. A chunk
 * may be evicted at any call: its events are then encoded again from the log.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "event-json.h"

/* The maximum size of an event, in any encoding. */
#define ENCODED_MAX (EVENT_JSON_MAX + 2)

/* The format of a view's lines: a face sends these bytes, or makes its messages from them. */
struct encoding {
	const char *name;
	/* Only the fields in @mask; @to has room for ENCODED_MAX bytes. Return: the length. */
	size_t (*put)(const struct fb_event *event, field_set mask, char *to);
};

/* JSON, a line each */
extern const struct encoding encoding_lines;
/* Lines that are members of an array: a comma before each newline, and no other newlines */
extern const struct encoding encoding_members;
/* For faces with other types: the length of the packed form as a uint32_t, and the packed form (event.h) */
extern const struct encoding encoding_packed;

/*
 * encoding_unpack() - read the first packed event
 * @data: begins with a complete event; texts point into it. Return: its size.
 */
size_t encoding_unpack(struct fb_event *event, const char *data);

/* A chunk accepts lines while the longest one still fits, so it usually has about this size. */
#define CHUNK_FULL  (64 * 1024)
#define CHUNK_SIZE  (CHUNK_FULL + ENCODED_MAX)
#define CHUNK_LINES 512

struct chunk_line {
	uint64_t seq;
	size_t end; /* in the data, after it */
};

LIST_HEAD(chunk_list, chunk);

struct chunk {
	struct chunk_list *owner; /* the list of the view that owns it, NULL: free */
	uint64_t first, next;	  /* it covers [first, next) */
	bool open; /* events are added as they are published: next is the log's end, and the field does not count */
	unsigned int n_lines;
	struct chunk_line lines[CHUNK_LINES];
	LIST_ENTRY(chunk) link; /* in the view */
	TAILQ_ENTRY(chunk) age; /* in the pool, least recently used first */
	char data[CHUNK_SIZE];
};

struct chunk_pool;

/* chunk_pool_new() - room for @size bytes of chunks, at least four; pages are taken when first used */
int chunk_pool_new(struct chunk_pool **ret, size_t size);
struct chunk_pool *chunk_pool_free(struct chunk_pool *pool);
/* The number of chunks. */
unsigned int chunk_pool_size(const struct chunk_pool *pool);

/* chunk_take() - an empty chunk in @owner's list, covering nothing from @first on. Never fails: another is
 * evicted. */
struct chunk *chunk_take(struct chunk_pool *pool, struct chunk_list *owner, uint64_t first);

/* chunk_drop() - give a chunk back to the pool */
void chunk_drop(struct chunk_pool *pool, struct chunk *chunk);

/* chunk_use() - mark it as the most recently used one */
void chunk_use(struct chunk_pool *pool, struct chunk *chunk);

/* chunk_find() - the chunk of a list that covers @seq, or ends right before it and has room; or NULL */
struct chunk *chunk_find(const struct chunk_list *list, uint64_t seq);

/* chunk_limit() - where the next chunk of a list after @seq begins; UINT64_MAX if there is none */
uint64_t chunk_limit(const struct chunk_list *list, uint64_t seq);

bool chunk_is_full(const struct chunk *chunk);

/* chunk_add() - add a line, for an event with the sequence number @seq; the chunk is not full */
void chunk_add(struct chunk *chunk, const struct encoding *encoding, uint64_t seq,
	       const struct fb_event *event, field_set fields);

static inline size_t chunk_size(const struct chunk *chunk)
{
	return chunk->n_lines ? chunk->lines[chunk->n_lines - 1].end : 0;
}

/* chunk_line_from() - index of the first line at or after @seq; n_lines if there is none */
unsigned int chunk_line_from(const struct chunk *chunk, uint64_t seq);
