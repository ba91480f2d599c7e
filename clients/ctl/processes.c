// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fields.h"
#include "processes.h"
#include "subscription.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct listed *)a)->pid, y = ((const struct listed *)b)->pid;

	return x < y ? -1 : x > y;
}

static int add(struct processes *processes, const struct forkbus_event *event)
{
	struct listed *listed;

	if ((processes->n & (processes->n - 1)) == 0) {
		listed = reallocarray(processes->list, processes->n ? 2 * processes->n : 1, sizeof(*listed));
		if (!listed)
			return -ENOMEM;
		processes->list = listed;
	}
	listed = &processes->list[processes->n];
	if (forkbus_event_copy(event, &listed->event) < 0)
		return -ENOMEM;
	listed->pid = UINT(event, PID);
	listed->ppid = UINT(event, PPID);
	processes->n++;
	return 0;
}

static int take_list(struct processes *processes, struct forkbus_list *list)
{
	const struct forkbus_event *event;
	int r;

	while ((r = forkbus_list_next(list, &event)) == 1) {
		r = add(processes, event);
		if (r < 0)
			return r;
	}
	return r;
}

int processes_get(struct processes *processes, const struct ctl *ctl, json_t *request)
{
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	struct forkbus_list *list = NULL;
	int r;

	r = subscription_new(&client, ctl, 0, request);
	if (r != CTL_GO_ON)
		return r;
	r = forkbus_list_processes(client, CTL_TIMEOUT_USEC, &list);
	if (r == 0)
		r = take_list(processes, list);
	forkbus_list_free(list);
	if (r < 0)
		return subscription_explain(ctl, client, r);
	qsort(processes->list, processes->n, sizeof(*processes->list), compare);
	processes->boot_usec = clock_usec(CLOCK_BOOTTIME);
	return CTL_GO_ON;
}

void processes_done(struct processes *processes)
{
	for (size_t i = 0; i < processes->n; i++)
		forkbus_event_free(processes->list[i].event);
	free(processes->list);
	*processes = (struct processes){};
}
