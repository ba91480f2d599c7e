// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/tty.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

/* Times of files are as coarse as the kernel's tick. */
#define TICK_USEC (10 * USEC_PER_MSEC)

static bool leader_lives(const struct table *table, const struct process *process)
{
	const struct process *leader;

	if (!(process->has & EVENT_BIT(session)))
		return false;
	leader = table_find(table, process->session);
	return leader && (leader->has & EVENT_BIT(session)) && leader->session == process->session;
}

/*
 * The file of a pseudoterminal is removed when its other side is closed, and that hangs it up. Its status changes when it
 * is made, and when it gets another owner or other rights: a file that is younger than the process may be another one.
 */
static bool pts_is_older(const struct clocks *clocks, const struct process *process)
{
	uint64_t born_usec = clocks_real_usec(clocks, process->id.start_usec * NSEC_PER_USEC), changed_usec;
	char path[5 + PROCESS_TTY_MAX + 1];
	struct stat file;

	snprintf(path, sizeof(path), "/dev/%.*s", process->tty_len, process->tty);
	if (stat(path, &file) < 0)
		return false;
	changed_usec =
		(uint64_t)file.st_ctim.tv_sec * USEC_PER_SEC + (uint64_t)file.st_ctim.tv_nsec / NSEC_PER_USEC;
	return changed_usec <= born_usec + TICK_USEC;
}

bool tty_is_held(const struct table *table, const struct clocks *clocks, const struct process *process)
{
	if (!leader_lives(table, process))
		return false;
	return process->tty_len < 4 || memcmp(process->tty, "pts/", 4) != 0 || pts_is_older(clocks, process);
}
