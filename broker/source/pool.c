// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/pool.h"

#include <stdlib.h>
#include <string.h>

#define POOL_CHUNK 64

struct pool_chunk {
	struct pool_chunk *next;
	_Alignas(16) unsigned char data[];
};

void pool_init(struct pool *pool, size_t size, size_t max)
{
	*pool = (struct pool){ .size = (size + 15) & ~(size_t)15, .max = max };
}

void pool_done(struct pool *pool)
{
	struct pool_chunk *chunk, *next;

	for (chunk = pool->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	*pool = (struct pool){ .size = pool->size, .max = pool->max };
}

static void pool_push(struct pool *pool, void *object)
{
	memcpy(object, &pool->free, sizeof(pool->free));
	pool->free = object;
}

static void pool_grow(struct pool *pool)
{
	struct pool_chunk *chunk = malloc(sizeof(*chunk) + POOL_CHUNK * pool->size);

	if (!chunk)
		return;
	chunk->next = pool->chunks;
	pool->chunks = chunk;
	for (size_t i = 0; i < POOL_CHUNK; i++)
		pool_push(pool, chunk->data + i * pool->size);
}

void *pool_take(struct pool *pool)
{
	void *object;

	if (pool->used == pool->max)
		return NULL;
	if (!pool->free)
		pool_grow(pool);
	object = pool->free;
	if (!object)
		return NULL;
	memcpy(&pool->free, object, sizeof(pool->free));
	memset(object, 0, pool->size);
	pool->used++;
	return object;
}

void pool_give(struct pool *pool, void *object)
{
	pool_push(pool, object);
	pool->used--;
}
