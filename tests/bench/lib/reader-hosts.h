/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Processes that read the log of the one that has made it, with many readers each, as long as it lives.
 */

#include <sys/types.h>

#include "reader.h"

#define READER_HOSTS_MAX 4

struct log;

/* What the readers of all hosts did; shared with them. */
struct reader_tally {
	uint64_t ready, events, lost, wakes;
};

struct reader_hosts {
	unsigned int n;
	pid_t pids[READER_HOSTS_MAX];
};

struct reader_tally *reader_tally_new(void);

/* reader_hosts_start() - @n readers that begin at the log's end; all of them are there when it returns */
void reader_hosts_start(struct reader_hosts *hosts, const struct log *log, unsigned int n,
			struct reader_tally *tally);
void reader_hosts_stop(struct reader_hosts *hosts);
