/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Objects of one size that come and go with the events: taken from chunks that are never given back while the pool lives,
 * so that a machine under steady load allocates nothing.
 */

#include <stddef.h>

struct pool_chunk;

struct pool {
	size_t size; /* of one object */
	size_t used, max;
	void *free;
	struct pool_chunk *chunks;
};

/* pool_init() - objects of @size bytes, never more than @max of them at a time */
void pool_init(struct pool *pool, size_t size, size_t max);
/* Frees all objects, given back or not. */
void pool_done(struct pool *pool);

/* pool_take() - a zeroed object, or NULL where there are @max already or no memory */
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *object);
