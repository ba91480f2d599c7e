/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Signals end a command where it can end well: not in the middle of a line.
 */

#include <stdbool.h>
#include <stdint.h>

/* SIGINT and SIGTERM are noted, SIGWINCH too, SIGPIPE becomes an error of write(2). */
void signals_init(void);

bool signals_stop(void);    /* has one asked to end? */
bool signals_resized(void); /* has the terminal changed since this was last asked? */

/*
 * signals_wait() - until @fd can be read, a signal comes, or @out has no reader any more
 * @until_usec: or this time of CLOCK_MONOTONIC has come; UINT64_MAX: never
 * Return: 0, SIGNALS_E_CLOSED when @out is of no use any more, or a negative errno; -EINTR for any signal.
 */
enum { _SIGNALS_E_SUCCESS, SIGNALS_E_CLOSED };
int signals_wait(int fd, int out, uint64_t until_usec);
