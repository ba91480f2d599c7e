/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The end of a process, as far as it matters here. Texts are the event's, as long as it lives.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/lib/forkbus.h"

struct ending_text {
	const char *data; /* NULL: not told */
	size_t len;
};

struct ending {
	uint64_t pid, start_usec;
	uint64_t ppid, session; /* 0: not told */
	bool has_uid, has_code, has_elapsed, has_cpu;
	uint64_t uid;
	uint64_t code, signal; /* signal 0: by none, or not told */
	bool core_dumped;
	uint64_t elapsed_usec, cpu_usec;
	uint64_t max_rss_kib; /* 0: not told */
	struct ending_text comm, exe, cgroup, tty;
};

/* ending_take() - Return: whether the event is the end of a process. */
bool ending_take(struct ending *ending, const struct forkbus_event *event);
