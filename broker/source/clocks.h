/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From one clock to another. The offsets change with suspend and with what sets the clock, so they are read again and again.
 */

#include <stdint.h>
#include <time.h>

/*
 * clocks_read_offset() - update @offset_nsec to how far @clock is ahead of @base
 * Between reading the one and the other anything may come between: the quickest of a few readings counts, and if what was
 * known is within its error, it stays.
 */
void clocks_read_offset(uint64_t *offset_nsec, clockid_t clock, clockid_t base);
