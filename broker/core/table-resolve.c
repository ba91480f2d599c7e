// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/table.h"

static int resolve_pid(const struct table *table, struct process_id *pid, const char *key,
		       struct filter_error *error)
{
	const struct process *process;

	if (pid->start_usec != 0)
		return 0;
	process = table_find(table, pid->pid);
	if (process && (process->has & EVENT_BIT(start_usec))) {
		pid->start_usec = process->start_usec;
		return 0;
	}
	if (process)
		return filter_refuse(error, key, "when process %u started is not known", pid->pid);
	return filter_refuse(error, key, "there is no process %u", pid->pid);
}

int table_resolve(const struct table *table, struct filter *filter, struct filter_error *error)
{
	int r;

	for (size_t i = 0; i < filter->n_pids; i++) {
		r = resolve_pid(table, &filter->pids[i], "pids", error);
		if (r != 0)
			return r;
	}
	if (filter->has_tree) {
		r = resolve_pid(table, &filter->tree, "tree", error);
		if (r != 0)
			return r;
	}
	/* A bare pid and the same pid with its start are one value now. */
	filter_pids_sort(filter);
	return 0;
}
