/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The details at the end of a line, by type of the event; exec and process, which show the program, are in format.c.
 *
 *   exit      code 2      1.24s  cpu 310ms+20ms
 *   ptrace    traced by 4712
 *   lost      lost 17 events (slow): 1042…1058
 *
 * Parts are separated by two spaces. For source, lost and ready it is a sentence in place of all columns from PID on.
 */

#include "clients/lib/forkbus.h"
#include "term.h"

void details_write(const struct term *term, FILE *file, const struct forkbus_event *event);
