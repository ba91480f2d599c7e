// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/resync.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/slice.h"
#include "source/recent.h"
#include "source/subject.h"

/* Even if losses are frequent, /proc is not read all the time. */
#define PAUSE_NSEC     (1 * NSEC_PER_SEC)
#define PAUSE_SHARE    20
/* A scan that was interrupted for a long time does not delay the next one without limit. */
#define PAUSE_MAX_NSEC (10 * NSEC_PER_SEC)

/* There may be 200,000 processes. */
#define WORK_NSEC (4 * NSEC_PER_MSEC)

struct ids {
	struct process_id *ids; /* owned */
	size_t n;
};

enum stage { TAKE_ENTRIES, TAKE_PARENTS, TAKE_MISSING };

/* A snapshot that is taken in, in slices. */
struct taking {
	const struct proc_snapshot *snapshot; /* NULL: there is none */
	bool late;			      /* events were published since the scan began */
	bool again;			      /* it does not show what some pids are now */
	enum stage stage;
	size_t at;	/* the next entry, for each stage that reads them */
	uint32_t *pids; /* owned: of the entries, in ascending order */
	size_t n;
	size_t next, kept; /* of resync.missing: the next to look at, and how many stay */
};

struct resync {
	struct hub *hub;
	const struct clocks *clocks;
	const struct resync_ops *ops;
	void *userdata;

	bool wanted, scanning;
	uint64_t started_nsec, hold_until_nsec, allowed_nsec;
	uint64_t started_seq; /* the log's next event then */
	struct ids before;    /* in the table when the scan began */
	struct taking taking;

	struct ids missing; /* those of them that it did not find */
	bool settling;	    /* events may be older than the scan */
	bool reporting;	    /* they are being reported */
	size_t reported;
	uint64_t end_nsec; /* of the scan that settles */

	struct recent ended; /* ends that were reported: /proc shows a process for a moment longer */
};

static void ids_clear(struct ids *ids)
{
	free(ids->ids);
	*ids = (struct ids){};
}

DEFINE_CLEANUP(struct resync, resync_free)

int resync_new(struct resync **ret, struct hub *hub, const struct clocks *clocks,
	       const struct resync_ops *ops, void *userdata)
{
	_cleanup_(resync_free_p) struct resync *resync = calloc(1, sizeof(*resync));

	if (!resync)
		return -ENOMEM;
	resync->hub = hub;
	resync->clocks = clocks;
	resync->ops = ops;
	resync->userdata = userdata;
	if (recent_init(&resync->ended) < 0)
		return -ENOMEM;
	*ret = steal(resync);
	return 0;
}

struct resync *resync_free(struct resync *resync)
{
	if (!resync)
		return NULL;
	ids_clear(&resync->before);
	ids_clear(&resync->missing);
	free(resync->taking.pids);
	recent_done(&resync->ended);
	free(resync);
	return NULL;
}

/* Events that were reported meanwhile */

static struct process_id id_of(const struct fb_event *event)
{
	return (struct process_id){ event->pid, EVENT_HAS(event, start_usec) ? event->start_usec : 0 };
}

void resync_note_exit(struct resync *resync, const struct fb_event *event)
{
	if (!fb_event_is_thread(event))
		recent_add(&resync->ended, id_of(event), event->boot_usec * NSEC_PER_USEC);
}

static bool find_start(const struct recent *recent, uint32_t pid, uint64_t start_usec)
{
	const struct recent_entry *entry = NULL;

	while ((entry = recent_find(recent, pid, entry)))
		if (event_same_start(entry->id.start_usec, start_usec) ||
		    procfs_start_matches(start_usec, entry->id.start_usec))
			return true;
	return false;
}

bool resync_has_ended(const struct resync *resync, const struct fb_event *event)
{
	/* A process that is in the table has not ended. */
	return !subject_find(resync->hub, event) &&
	       find_start(&resync->ended, event->pid, id_of(event).start_usec);
}

bool resync_ended_after(const struct resync *resync, uint32_t pid, uint64_t boot_usec)
{
	const struct recent_entry *entry = recent_find(&resync->ended, pid, NULL);

	return entry && entry->nsec / NSEC_PER_USEC > boot_usec;
}

/* Taking a snapshot in */

/* Is the entry about an older process than the one in the table, or has it ended? */
static bool is_outdated(const struct resync *resync, const struct fb_event *entry,
			const struct process *process)
{
	if (!process)
		return find_start(&resync->ended, entry->pid, entry->start_usec) ||
		       (resync->taking.late && resync->ended.dropped);
	return (process->has & EVENT_BIT(start_usec)) && process->id.start_usec > entry->start_usec &&
	       !procfs_start_matches(entry->start_usec, process->id.start_usec);
}

/* Names that were published first stay: that of the process, and of its parent. */
static void learn(const struct resync *resync, struct proc_entry *entry, const struct process *process)
{
	const struct process *parent = table_find(hub_table(resync->hub), entry->event.ppid);

	if (process)
		EVENT_SET(&entry->event, start_usec, process->id.start_usec);
	if (parent)
		EVENT_SET(&entry->event, parent_start_usec, parent->id.start_usec);
	(void)hub_learn(resync->hub, &entry->event);
}

/*
 * Can the event of its start still come? The entry has its start cut to a tick, and the events before a loss do not come. Then,
 * if its pid is known, the entry may be about another process than the one in the table, whose end is still to come, too.
 */
static bool is_young(const struct resync *resync, const struct fb_event *entry, uint64_t *lost_usec)
{
	uint64_t published;

	*lost_usec = 0;
	if (!resync->ops->published)
		return false;
	published = resync->ops->published(resync->userdata, lost_usec);
	if (published < *lost_usec)
		published = *lost_usec;
	return entry->start_usec + EVENT_START_SLACK_USEC > published;
}

/* Return: false if the process that the table has with this pid is missing. */
static bool take_entry(struct resync *resync, struct proc_entry *entry)
{
	const struct process *process = table_find(hub_table(resync->hub), entry->event.pid);
	struct taking *taking = &resync->taking;
	bool matches = process && procfs_start_matches(entry->event.start_usec, process->id.start_usec);
	uint64_t lost_usec;

	if (is_outdated(resync, &entry->event, process))
		return true;
	if (is_young(resync, &entry->event, &lost_usec) && (process || entry->event.start_usec > lost_usec)) {
		/* The next scan shows what was lost. */
		taking->again |= entry->event.start_usec <= lost_usec;
		return matches || !process;
	}
	if (process && !matches) {
		/* The pid was used again. */
		resync->ops->gone(resync->userdata, entry->event.pid, taking->snapshot->end_nsec);
		process = NULL;
	}
	/* An event since the start of the scan is newer than the result of the scan, and so is one that was lost since. */
	if (taking->late && process && process->changed >= resync->started_seq)
		entry->event.has &=
			~((process->has | EVENT_BIT(privacy)) & ~(EVENT_BIT(pid) | EVENT_BIT(start_usec)));
	if (resync->wanted)
		EVENT_CLEAR(&entry->event, privacy);
	learn(resync, entry, process);
	if (resync->ops->living)
		resync->ops->living(resync->userdata, taking->snapshot, entry);
	return true;
}

/* When all entries are taken: parents may come after their children. */
static void learn_parent(struct hub *hub, const struct proc_entry *entry)
{
	const struct process *process = table_find(hub_table(hub), entry->event.pid);
	const struct process *parent = table_find(hub_table(hub), entry->event.ppid);
	struct fb_event event;

	if (!process || !parent || process->has & EVENT_BIT(parent_start_usec))
		return;
	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, pid, process->id.pid);
	EVENT_SET(&event, start_usec, process->id.start_usec);
	EVENT_SET(&event, ppid, parent->id.pid);
	EVENT_SET(&event, parent_start_usec, parent->id.start_usec);
	(void)hub_learn(hub, &event);
}

/* Processes that end */

/* Without memory for this list, no process is reported as missing. */
static void remember_before(struct resync *resync)
{
	const struct table *table = hub_table(resync->hub);
	struct ids *before = &resync->before;
	const struct process *process;
	size_t slot = 0, max = table_count(table);

	ids_clear(before);
	before->ids = calloc(max + 1, sizeof(*before->ids));
	if (!before->ids)
		return;
	while (before->n < max && (process = table_walk(table, &slot)))
		before->ids[before->n++] = process->id;
}

static int compare_pids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool is_in_table(const struct resync *resync, struct process_id id)
{
	const struct process *process = table_find(hub_table(resync->hub), id.pid);

	return process && process->id.start_usec == id.start_usec;
}

static bool awaits_end(const struct resync *resync, uint32_t pid)
{
	return !resync->ops->awaits_end || resync->ops->awaits_end(resync->userdata, pid);
}

/* Of those that were in the table before, the next one. */
static void look_for_one(struct resync *resync)
{
	struct taking *taking = &resync->taking;
	struct process_id *ids = resync->missing.ids, id = ids[taking->next++];

	if (bsearch(&id.pid, taking->pids, taking->n, sizeof(id.pid), compare_pids) ||
	    !is_in_table(resync, id))
		return;
	if (awaits_end(resync, id.pid))
		ids[taking->kept++] = id;
	else
		resync->ops->gone(resync->userdata, id.pid, taking->snapshot->end_nsec);
}

/* Begin the next stage. Return: false if there is none. */
static bool next_stage(struct resync *resync)
{
	struct taking *taking = &resync->taking;

	switch (taking->stage) {
	case TAKE_ENTRIES:
		taking->at = 0;
		taking->stage = TAKE_PARENTS;
		return true;
	case TAKE_PARENTS:
		ids_clear(&resync->missing);
		/* A process that could not be read may live. */
		if (taking->snapshot->skipped != 0)
			return false;
		resync->missing = resync->before;
		resync->before = (struct ids){};
		taking->stage = TAKE_MISSING;
		return true;
	case TAKE_MISSING:
		resync->missing.n = taking->kept;
		break;
	}
	return false;
}

/* Return: false at the end of a stage. */
static bool take_one(struct resync *resync)
{
	struct taking *taking = &resync->taking;
	struct proc_entry entry;

	if (taking->stage == TAKE_MISSING) {
		if (taking->next == resync->missing.n)
			return false;
		look_for_one(resync);
		return true;
	}
	if (!proc_snapshot_next(taking->snapshot, &taking->at, &entry))
		return false;
	if (taking->stage == TAKE_PARENTS) {
		learn_parent(resync->hub, &entry);
	} else {
		if (take_entry(resync, &entry))
			taking->pids[taking->n++] = entry.event.pid;
	}
	return true;
}

/* A refusal is permanent; other errors may not be. */
static bool is_worth_repeating(int r)
{
	return r < 0 && r != -EPERM && r != -EACCES;
}

static void end_scan(struct resync *resync, int result)
{
	resync->scanning = false;
	recent_keep(&resync->ended, false);
	ids_clear(&resync->before);
	free(resync->taking.pids);
	resync->taking = (struct taking){ 0 };
	if (result < 0)
		resync->wanted = true;
}

int resync_begin_taking(struct resync *resync, const struct proc_snapshot *snapshot, int result,
			uint64_t now_nsec)
{
	uint64_t pause = PAUSE_NSEC + PAUSE_SHARE * (now_nsec - resync->started_nsec);
	uint32_t *pids = NULL;

	resync->allowed_nsec = now_nsec + (pause < PAUSE_MAX_NSEC ? pause : PAUSE_MAX_NSEC);
	if (result == 0) {
		pids = calloc(snapshot->n + 1, sizeof(*pids));
		result = pids ? 0 : -ENOMEM;
	}
	if (result < 0) {
		end_scan(resync, result);
		return result;
	}
	resync->taking = (struct taking){ .snapshot = snapshot, .pids = pids };
	if (resync->ops->begin)
		resync->ops->begin(resync->userdata, snapshot);
	return 0;
}

static bool go_on(struct resync *resync, struct slice slice, uint64_t now_nsec)
{
	struct taking *taking = &resync->taking;

	taking->late |= !resync_holds(resync, now_nsec);
	do {
		if (slice_is_over(&slice, SLICE_CHEAP))
			return false;
	} while (take_one(resync) || next_stage(resync));
	resync->settling = true;
	resync->end_nsec = taking->snapshot->end_nsec;
	end_scan(resync, taking->again || is_worth_repeating(taking->snapshot->skipped) ? -EAGAIN : 0);
	return true;
}

bool resync_go_on_taking(struct resync *resync)
{
	return go_on(resync, slice_begin(WORK_NSEC), monotonic_nsec());
}

/* Report some of the missing. */
static void report_some(struct resync *resync)
{
	struct slice slice = slice_begin(WORK_NSEC);

	while (resync->reported < resync->missing.n) {
		struct process_id id = resync->missing.ids[resync->reported];

		if (slice_is_over(&slice, SLICE_CHEAP))
			return;
		resync->reported++;
		if (is_in_table(resync, id))
			resync->ops->gone(resync->userdata, id.pid, resync->end_nsec);
	}
	resync->reporting = false;
	ids_clear(&resync->missing);
	if (resync->ops->settled)
		resync->ops->settled(resync->userdata, resync->end_nsec);
}

void resync_settle(struct resync *resync, uint64_t newest_nsec, bool idle)
{
	uint64_t until = resync->end_nsec + RESYNC_LATE_NSEC;

	if (!resync->settling || (newest_nsec <= until && !(idle && monotonic_nsec() > until)))
		return;
	resync->settling = false;
	resync->reporting = true;
	resync->reported = 0;
	report_some(resync);
}

/* The scan */

int resync_first(struct resync *resync)
{
	struct proc_snapshot snapshot = {};
	_cleanup_close_ int proc = procfs_open();
	int r;

	if (proc < 0)
		return proc;
	resync_started(resync, monotonic_nsec());
	r = proc_snapshot_take(&snapshot, proc);
	/* Nothing was published during the scan, however long it took. */
	resync->hold_until_nsec = UINT64_MAX;
	r = resync_take(resync, &snapshot, r, monotonic_nsec());
	resync->allowed_nsec = 0;
	proc_snapshot_done(&snapshot);
	return r;
}

void resync_want(struct resync *resync)
{
	resync->wanted = true;
}

void resync_hurry(struct resync *resync)
{
	resync->allowed_nsec = 0;
}

void resync_started(struct resync *resync, uint64_t now_nsec)
{
	resync->wanted = false;
	resync->scanning = true;
	resync->started_nsec = now_nsec;
	resync->started_seq = log_next(hub_log(resync->hub));
	resync->hold_until_nsec = now_nsec + RESYNC_WAIT_NSEC;
	recent_keep(&resync->ended, true);
	remember_before(resync);
}

void resync_begin(struct resync *resync, struct proc_helper *helper)
{
	uint64_t now = monotonic_nsec();

	if (resync->wanted && !resync->scanning && now >= resync->allowed_nsec &&
	    proc_helper_scan(helper) == 0)
		resync_started(resync, now);
}

int resync_take(struct resync *resync, const struct proc_snapshot *snapshot, int result, uint64_t now_nsec)
{
	int r = resync_begin_taking(resync, snapshot, result, now_nsec);

	if (r == 0)
		(void)go_on(resync, (struct slice){ .until = UINT64_MAX }, now_nsec);
	return r;
}

int resync_collect(struct resync *resync, struct proc_helper *helper)
{
	const struct proc_snapshot *snapshot;
	int result;

	if (resync->reporting) {
		report_some(resync);
		return RESYNC_PART;
	}
	if (!resync->taking.snapshot) {
		snapshot = proc_helper_scanned(helper, &result);
		if (!snapshot || resync_begin_taking(resync, snapshot, result, monotonic_nsec()) < 0)
			return RESYNC_NOTHING;
	}
	return resync_go_on_taking(resync) ? RESYNC_ALL : RESYNC_PART;
}

bool resync_is_busy(const struct resync *resync)
{
	return resync->taking.snapshot || resync->reporting;
}

bool resync_holds(const struct resync *resync, uint64_t now_nsec)
{
	return resync->reporting || (resync->scanning && now_nsec <= resync->hold_until_nsec);
}

bool resync_is_wanted(const struct resync *resync)
{
	return resync->wanted;
}

void resync_release(struct resync *resync)
{
	resync->hold_until_nsec = 0;
	while (resync->reporting)
		report_some(resync);
}
