/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * uthash where users choose the keys: names of files, starts of processes. Included before any other header that includes
 * uthash.
 *
 * uthash's own function has no secret. Who chooses thousands of keys that share a bucket makes every search as long, and
 * uthash then stops adding buckets for all others, too.
 *
 * Out of memory, HASH_ADD() sets the variable oom.
 */

#ifdef UTHASH_H
#error "include hash-text.h before uthash.h"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)

/* hash_text() - SipHash-1-3 of some bytes, with a key that is made at random when the program starts */
uint32_t hash_text(const void *data, size_t size);

#define HASH_FUNCTION(_key, _len, _hash) ((_hash) = hash_text(_key, _len))

#include <uthash.h>
