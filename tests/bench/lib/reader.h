/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One of many that read the mapped log in a process, each through a mapping of its own, and throw away what they read.
 */

#include <stdbool.h>
#include <stdint.h>

struct ring;

struct reader {
	struct ring *ring;
	bool waits; /* has read all there was: it goes on when it is woken */
};

struct reader_turn {
	uint64_t events, lost;
	bool woken; /* it had waited */
};

/* reader_open() - the log of a broker, from its oldest event on. @path: of its socket org.forkbus1. Or die. */
void reader_open(struct reader *reader, const char *path);
/* reader_fd() - readable from the beginning, and when a reader that waits is woken */
int reader_fd(const struct reader *reader);

/* reader_turn() - read the pending data, up to a limit, so that the next reader gets its turn. Return: what was read. */
struct reader_turn reader_turn(struct reader *reader);
