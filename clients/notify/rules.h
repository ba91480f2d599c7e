/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Decides how a process ended and whether to notify its user, from the event, the configuration and the time alone.
 */

#include <signal.h>

#include "clients/lib/forkbus.h"
#include "config.h"

/* A text that is owned by the event. */
struct ending_text {
	const char *data; /* NULL: unknown */
	size_t len;
};

/* What the rules and notices need to know about the end of a process. */
struct ending {
	uint64_t pid, start_usec;
	uint64_t ppid, session; /* 0: unknown */
	bool has_uid, has_code, has_elapsed, has_cpu;
	uint64_t uid;
	uint64_t code, signal; /* signal 0: not ended by a signal, or unknown */
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

/* ending_take() - Return: whether the event is the end of a process. Texts of @ending belong to the event. */
bool ending_take(struct ending *ending, const struct forkbus_event *event);

/*
 * rules_kind() - how a process ended
 * A crash is an end by a signal that the kernel sends for an error of the program, or with a core dump. SIGQUIT is not a
 * crash: people send it to get the core dump.
 */
enum kind rules_kind(const struct notify_config *config, const struct ending *ending);

enum urgency rules_urgency(const struct notify_config *config, enum kind kind);

/* rules_judge() - @uid: the user whose processes cause notices; @local: the local time; @kind: from rules_kind() */
enum verdict rules_judge(const struct notify_config *config, const struct ending *ending, uint64_t uid,
			 const struct tm *local, enum kind kind);

/* hours_contain() - is this time within the hours? @local: of localtime(3) */
bool hours_contain(const struct hours *hours, const struct tm *local);

/* hours_end() - Return: the next time after @now when the hours end. */
time_t hours_end(const struct hours *hours, time_t now);

/* globs_match() - does any of the globs match? */
bool globs_match(const struct globs *globs, const char *data, size_t len);
