/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a process ended, and whether its user is notified: by the event, the configuration and the time, and nothing else.
 */

#include <signal.h>

#include "config.h"

/* A text of the event, which has to outlive it. */
struct ending_text {
	const char *data; /* NULL: unknown */
	size_t len;
};

/* The end of a process, as far as the rules and notices need it. */
struct ending {
	uint64_t pid, start_usec;
	uint64_t ppid, session; /* 0: unknown */
	bool has_uid, has_code, has_elapsed, has_cpu;
	uint64_t uid;
	uint64_t code, signal; /* signal 0: by none, or unknown */
	bool core_dumped;
	uint64_t elapsed_usec, cpu_usec;
	uint64_t max_rss_kib; /* 0: unknown */
	struct ending_text comm, exe, cgroup, tty;
};

enum verdict {
	VERDICT_PASS, /* do not notify */
	VERDICT_SHOW,
	VERDICT_HOLD, /* notify when quiet hours are over */
};

/*
 * rules_kind() - how a process ended
 * A crash is the end by a signal that the kernel sends for a mistake of the program, or the end with a core dump. SIGQUIT is
 * no crash: people send it because they want the core.
 */
enum kind rules_kind(const struct notify_config *config, const struct ending *ending);

enum urgency rules_urgency(const struct notify_config *config, enum kind kind);

/* rules_judge() - @uid: whose processes are notified of; @local: the time, by the local clock; @kind: of rules_kind() */
enum verdict rules_judge(const struct notify_config *config, const struct ending *ending, uint64_t uid,
			 const struct tm *local, enum kind kind);
