/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * uthash where all keys are 32-bit numbers: pids, user ids. Included before any other header that includes uthash.
 *
 * Out of memory, HASH_ADD() sets the variable oom.
 */

#ifdef UTHASH_H
#error "hash-number.h comes too late: uthash.h was included before"
#endif

#include <stdint.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)

/* Buckets are chosen by the lowest bits. Pids come one after the other: an odd factor gives each of them another one. */
#define HASH_FUNCTION(_key, _len, _hash) ((_hash) = *(const uint32_t *)(_key)*UINT32_C(2654435769))

#include <uthash.h>
