/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a process ended, and whether its user is notified: by the event, the configuration and the time, and nothing else.
 */

#include <signal.h>

#include "clients/lib/forkbus.h"
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

/* ending_take() - Return: is the event the end of a process? Texts of @ending are the event's. */
bool ending_take(struct ending *ending, const struct forkbus_event *event);

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

/* hours_contain() - is it this time? @local: of localtime(3) */
bool hours_contain(const struct hours *hours, const struct tm *local);

/* hours_end() - when they are over, for the first time after @now. Return: a time. */
time_t hours_end(const struct hours *hours, time_t now);

/* globs_match() - does any of them match? */
bool globs_match(const struct globs *globs, const char *data, size_t len);
