/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Does a process still have its terminal? It loses it without an event: when the terminal is hung up, or when the leader of its
 * session ends.
 */

#include <stdbool.h>

#include "core/table.h"
#include "source/clocks.h"

/*
 * tty_is_held() - can the terminal that the table has still be the one of the process?
 * The leader of its session lives, and if it is a pseudoterminal, that exists, and is not a later one with the same number.
 */
bool tty_is_held(const struct table *table, const struct clocks *clocks, const struct process *process);
