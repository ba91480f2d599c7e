// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "source/lookups.h"
#include "source/module/module.h"

/* Records of before a scan have come so long after its end. */
#define LATE_NSEC	    (200 * NSEC_PER_MSEC)
/* A storm of losses does not make us read /proc all the time. */
#define SCAN_PAUSE_NSEC	    (1 * NSEC_PER_SEC)
#define SCAN_SHARE	    20
/* One that was interrupted for long does not put off the next for ever. */
#define SCAN_PAUSE_MAX_NSEC (10 * NSEC_PER_SEC)
/* Telling waits for a scan no longer than this. */
#define SCAN_WAIT_NSEC	    (2 * NSEC_PER_SEC)

void module_note_ended(struct module *module, const struct fb_event *event)
{
	module->ended[module->n_ended++ % MODULE_ENDED_MAX] =
		(struct process_id){ event->pid, EVENT_HAS(event, start_usec) ? event->start_usec : 0 };
}

bool module_has_ended(const struct module *module, const struct fb_event *event)
{
	size_t n = module->n_ended < MODULE_ENDED_MAX ? module->n_ended : MODULE_ENDED_MAX;

	/* One that the table holds has not. */
	if (lookup_process(module->hub, event))
		return false;
	for (size_t i = 0; i < n; i++)
		if (module->ended[i].pid == event->pid &&
		    event_same_start(module->ended[i].start_usec, event->start_usec))
			return true;
	return false;
}

struct taking {
	struct module *module;
	uint64_t boot_nsec; /* of the end of the scan */
	uint32_t *pids;
	size_t n;
};

static void on_reused(void *userdata, uint32_t pid)
{
	struct taking *taking = userdata;

	module_tell_gone(taking->module, pid, taking->boot_nsec);
}

static int compare_pids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Who is in the table, and not in the snapshot. What tells of their end may be queued, so it is waited for. */
static void find_missing(struct taking *taking)
{
	struct module *module = taking->module;
	const struct table *table = hub_table(module->hub);
	const struct process *process;
	size_t slot = 0;

	free(module->missing);
	module->n_missing = 0;
	module->missing = calloc(table_count(table) + 1, sizeof(*module->missing));
	if (!module->missing)
		return;
	qsort(taking->pids, taking->n, sizeof(*taking->pids), compare_pids);
	while ((process = table_walk(table, &slot)))
		if (!bsearch(&process->pid, taking->pids, taking->n, sizeof(*taking->pids), compare_pids))
			module->missing[module->n_missing++] =
				(struct process_id){ process->pid, process->start_usec };
	module->missing_until_nsec = taking->boot_nsec;
}

static size_t count_entries(const struct proc_snapshot *snapshot)
{
	struct proc_entry entry;
	size_t at = 0, n = 0;

	while (proc_snapshot_next(snapshot, &at, &entry))
		n++;
	return n;
}

static int take_snapshot(struct module *module, const struct proc_snapshot *snapshot)
{
	struct taking taking = { module, clocks_boot_nsec(&module->clocks, snapshot->end_nsec), NULL, 0 };
	struct proc_entry entry;
	size_t at = 0;

	taking.pids = calloc(count_entries(snapshot) + 1, sizeof(*taking.pids));
	if (!taking.pids)
		return -ENOMEM;
	while (proc_snapshot_next(snapshot, &at, &entry)) {
		taking.pids[taking.n++] = entry.event.pid;
		/* What ends is in /proc until its parent may know. */
		if (!module_has_ended(module, &entry.event))
			lookup_take_entry(module->hub, &entry, on_reused, &taking);
	}
	lookup_take_parents(module->hub, snapshot);
	find_missing(&taking);
	free(taking.pids);
	return 0;
}

int module_sync_first(struct module *module)
{
	struct proc_snapshot snapshot = {};
	int proc = procfs_open(), r;

	if (proc < 0)
		return proc;
	r = proc_snapshot_take(&snapshot, proc);
	if (r == 0)
		r = take_snapshot(module, &snapshot);
	proc_snapshot_done(&snapshot);
	close(proc);
	return r;
}

void module_sync_begin(struct module *module)
{
	uint64_t now = monotonic_nsec();

	/* A record that waits was begun to be told. */
	if (!module->resync_wanted || module->scanning || module->stream.replaying ||
	    now < module->scan_allowed_nsec || proc_helper_scan(module->helper) < 0)
		return;
	module->resync_wanted = false;
	module->scanning = true;
	module->scan_started_nsec = now;
}

void module_sync_end(struct module *module)
{
	const struct proc_snapshot *snapshot;
	uint64_t now = monotonic_nsec(), pause;
	int result;

	if (module->scanning && now > module->scan_started_nsec + SCAN_WAIT_NSEC) {
		/* What it brings will be about a time that was told already. */
		module->scanning = false;
		module->scan_stale = true;
		module->resync_wanted = true;
	}
	(void)proc_helper_collect(module->helper);
	snapshot = proc_helper_scanned(module->helper, &result);
	if (!snapshot)
		return;
	pause = SCAN_PAUSE_NSEC + SCAN_SHARE * (now - module->scan_started_nsec);
	module->scan_allowed_nsec = now + (pause < SCAN_PAUSE_MAX_NSEC ? pause : SCAN_PAUSE_MAX_NSEC);
	module->scanning = false;
	if (module->scan_stale || result < 0 || take_snapshot(module, snapshot) < 0) {
		module->scan_stale = false;
		module->resync_wanted = true;
		return;
	}
	module->stats.resyncs++;
}

void module_sync_close(struct module *module, bool idle)
{
	uint64_t now = clocks_boot_nsec(&module->clocks, monotonic_nsec());
	const struct process *process;

	if (module->n_missing == 0)
		return;
	if (module->stream.last_nsec <= module->missing_until_nsec + LATE_NSEC &&
	    !(idle && now > module->missing_until_nsec + LATE_NSEC))
		return;
	for (size_t i = 0; i < module->n_missing; i++) {
		process = table_find(hub_table(module->hub), module->missing[i].pid);
		if (process && process->start_usec == module->missing[i].start_usec)
			module_tell_gone(module, process->pid, module->missing_until_nsec);
	}
	module->n_missing = 0;
}
