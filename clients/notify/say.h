/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the service says to its user: lines on standard error, with the "<N>" prefix of sd-daemon(3) where the journal reads
 * them ($JOURNAL_STREAM), after the program's name otherwise. One line a call; control characters in it are replaced.
 */

#include <syslog.h>

void say(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
