/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a line says beyond its columns, by type of the event. Parts are separated by two spaces.
 */

#include "clients/lib/forkbus.h"
#include "term.h"

/* What one process did: the DETAILS of its line. */
void details_write(const struct term *term, FILE *file, const struct forkbus_event *event);

/* For source, lost and ready: a sentence in place of all columns from PID on. */
void details_write_sentence(const struct term *term, FILE *file, const struct forkbus_event *event);
