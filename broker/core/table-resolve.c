// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <stdlib.h>

#include "core/table.h"

static int resolve_pid(const struct table *table, struct filter_pid *pid, const char *key,
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
	snprintf(error->key, sizeof(error->key), "%s", key);
	snprintf(error->detail, sizeof(error->detail),
		 process ? "when process %u started is not known" : "there is no process %u", pid->pid);
	return FILTER_E_INVALID;
}

static int compare_pids(const void *a, const void *b)
{
	const struct filter_pid *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->start_usec > y->start_usec) - (x->start_usec < y->start_usec);
}

int table_resolve(const struct table *table, struct filter *filter, struct filter_error *error)
{
	size_t n = 0;
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
	if (filter->n_pids < 2)
		return 0;
	/* What was said in two ways is one value now. */
	qsort(filter->pids, filter->n_pids, sizeof(*filter->pids), compare_pids);
	for (size_t i = 1; i < filter->n_pids; i++)
		if (compare_pids(&filter->pids[n], &filter->pids[i]) != 0)
			filter->pids[++n] = filter->pids[i];
	filter->n_pids = n + 1;
	return 0;
}
