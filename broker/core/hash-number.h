/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * uthash where all keys are 32-bit numbers: pids, user ids. Included before any other header that includes uthash.
 *
 * Out of memory, HASH_ADD() sets the variable oom.
 */

#ifdef UTHASH_H
#error "include hash-number.h before uthash.h"
#endif

#include <stdint.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)

/*
 * uthash chooses buckets by the lowest bits. After the multiplication the highest ones depend on all bits of the number:
 * without the swap, pids that are multiples of a power of two would share few buckets, and uthash stops adding buckets where
 * that does not help.
 */
#define HASH_FUNCTION(_key, _len, _hash) \
	((_hash) = __builtin_bswap32(*(const uint32_t *)(_key)*UINT32_C(2654435769)))

#include <uthash.h>
