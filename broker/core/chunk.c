// SPDX-License-Identifier: LGPL-2.1-or-later
#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "core/chunk.h"

#define CHUNKS_MIN 4
/* The memory that a chunk usually takes: only a line of the greatest length touches the room for it. */
#define CHUNK_COST (CHUNK_FULL + offsetof(struct chunk, data))

_Static_assert(sizeof(uint32_t) + EVENT_PACKED_MAX <= ENCODED_MAX, "every encoding fits");

/* Encodings */

static size_t put_line(const struct fb_event *event, field_set mask, char *to)
{
	size_t size = event_json_encode(event, mask, to);

	to[size++] = '\n';
	return size;
}

static size_t put_member(const struct fb_event *event, field_set mask, char *to)
{
	size_t size = event_json_encode(event, mask, to);

	to[size++] = ',';
	to[size++] = '\n';
	return size;
}

static size_t put_packed(const struct fb_event *event, field_set mask, char *to)
{
	struct fb_event shown = *event;
	uint32_t size;

	shown.has &= mask;
	size = (uint32_t)fb_event_pack(&shown, to + sizeof(size));
	memcpy(to, &size, sizeof(size));
	return sizeof(size) + size;
}

const struct encoding encoding_lines = { "lines", put_line };
const struct encoding encoding_members = { "members", put_member };
const struct encoding encoding_packed = { "packed", put_packed };

size_t encoding_unpack(struct fb_event *event, const char *data)
{
	uint32_t size;
	int r;

	memcpy(&size, data, sizeof(size));
	r = fb_event_unpack(event, data + sizeof(size), size);
	assert(r == 0);
	(void)r;
	return sizeof(size) + size;
}

/* The pool */

struct chunk_pool {
	TAILQ_HEAD(, chunk) ages;
	struct chunk *chunks; /* one mapping, so that chunks that were never used take no memory */
	size_t n;
};

int chunk_pool_new(struct chunk_pool **ret, size_t size)
{
	struct chunk_pool *pool = malloc(sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->n = size / CHUNK_COST < CHUNKS_MIN ? CHUNKS_MIN : size / CHUNK_COST;
	pool->chunks = mmap(NULL, pool->n * sizeof(struct chunk), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pool->chunks == MAP_FAILED) {
		free(pool);
		return -ENOMEM;
	}
	TAILQ_INIT(&pool->ages);
	for (size_t i = 0; i < pool->n; i++)
		TAILQ_INSERT_TAIL(&pool->ages, &pool->chunks[i], age);
	*ret = pool;
	return 0;
}

struct chunk_pool *chunk_pool_free(struct chunk_pool *pool)
{
	if (!pool)
		return NULL;
	munmap(pool->chunks, pool->n * sizeof(struct chunk));
	free(pool);
	return NULL;
}

unsigned int chunk_pool_size(const struct chunk_pool *pool)
{
	return (unsigned int)pool->n;
}

void chunk_use(struct chunk_pool *pool, struct chunk *chunk)
{
	TAILQ_REMOVE(&pool->ages, chunk, age);
	TAILQ_INSERT_TAIL(&pool->ages, chunk, age);
}

struct chunk *chunk_take(struct chunk_pool *pool, struct chunk_list *owner, uint64_t first)
{
	struct chunk *chunk = TAILQ_FIRST(&pool->ages);

	if (chunk->owner)
		LIST_REMOVE(chunk, link);
	chunk->owner = owner;
	chunk->first = chunk->next = first;
	chunk->open = false;
	chunk->n_lines = 0;
	LIST_INSERT_HEAD(owner, chunk, link);
	chunk_use(pool, chunk);
	return chunk;
}

void chunk_drop(struct chunk_pool *pool, struct chunk *chunk)
{
	LIST_REMOVE(chunk, link);
	chunk->owner = NULL;
	TAILQ_REMOVE(&pool->ages, chunk, age);
	TAILQ_INSERT_HEAD(&pool->ages, chunk, age);
}

/* A view's chunks */

bool chunk_is_full(const struct chunk *chunk)
{
	return chunk->n_lines == CHUNK_LINES || chunk_size(chunk) > CHUNK_FULL;
}

struct chunk *chunk_find(const struct chunk_list *list, uint64_t seq)
{
	struct chunk *chunk, *before = NULL;

	LIST_FOREACH(chunk, list, link) {
		if (chunk->first <= seq && (chunk->open || seq < chunk->next))
			return chunk;
		if (chunk->next == seq && !chunk_is_full(chunk))
			before = chunk;
	}
	return before;
}

uint64_t chunk_limit(const struct chunk_list *list, uint64_t seq)
{
	uint64_t limit = UINT64_MAX;
	struct chunk *chunk;

	LIST_FOREACH(chunk, list, link)
		if (chunk->first > seq && chunk->first < limit)
			limit = chunk->first;
	return limit;
}

void chunk_add(struct chunk *chunk, const struct encoding *encoding, uint64_t seq,
	       const struct fb_event *event, field_set fields)
{
	size_t at = chunk_size(chunk);

	at += encoding->put(event, fields, chunk->data + at);
	chunk->lines[chunk->n_lines++] = (struct chunk_line){ seq, at };
}

unsigned int chunk_line_from(const struct chunk *chunk, uint64_t seq)
{
	unsigned int low = 0, high = chunk->n_lines;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (chunk->lines[middle].seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
