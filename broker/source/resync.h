/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Corrects the table after a loss: the helper thread scans /proc, and the result is merged into the table.
 *
 * Events wait for the scan, but no longer than RESYNC_WAIT_NSEC: with many processes it takes longer. Its result is then
 * compared with the events that were reported meanwhile: a process that has ended since the scan began is not added, and if
 * a process had an event since, the table is newer. Processes that were in the table when the scan began, and that it did
 * not find, have ended. The events of their end may still be queued, so the broker waits for these first.
 *
 * With many processes, both are done in slices of a few milliseconds.
 *
 * All times are of CLOCK_MONOTONIC. struct resync_ops has the functions that differ between sources.
 */

#include "core/hub.h"
#include "source/clocks.h"
#include "source/proc/reader.h"

#define RESYNC_WAIT_NSEC (2 * NSEC_PER_SEC)
/* The time after the end of a scan by which earlier events have arrived. */
#define RESYNC_LATE_NSEC (200 * NSEC_PER_MSEC)

struct resync_ops {
	/* A process has ended some time before @nsec; nothing else is known than the table, or the source, knows. */
	void (*gone)(void *userdata, uint32_t pid, uint64_t nsec);
	/* May events that report its end still come? NULL: yes. */
	bool (*awaits_end)(void *userdata, uint32_t pid);
	/*
	 * All events up to this time of CLOCK_BOOTTIME, in us, have been reported, unless they were lost; @lost_usec: the time of
	 * the last loss, before which any may be. NULL: all that there were.
	 */
	uint64_t (*published)(void *userdata, uint64_t *lost_usec);
	/* The three may be NULL: a snapshot is about to be taken in; one process of it was; no event is older than it now. */
	void (*begin)(void *userdata, const struct proc_snapshot *snapshot);
	void (*living)(void *userdata, const struct proc_snapshot *snapshot, const struct proc_entry *entry);
	void (*settled)(void *userdata, uint64_t nsec);
};

struct resync;

/* resync_new() - @clocks: the source's */
int resync_new(struct resync **ret, struct hub *hub, const struct clocks *clocks,
	       const struct resync_ops *ops, void *userdata);
/* NULL is fine. Return: NULL. */
struct resync *resync_free(struct resync *resync);

/* resync_first() - the same at once, when the source starts. Return: 0 or a negative errno. */
int resync_first(struct resync *resync);

/* resync_want() - events were lost */
void resync_want(struct resync *resync);
/* resync_hurry() - the next scan does not have to wait for the pause after the last one */
void resync_hurry(struct resync *resync);

/* resync_begin() - let the helper scan /proc, if a scan is wanted and allowed now */
void resync_begin(struct resync *resync, struct proc_helper *helper);
/* resync_collect() - merge a part of the scan if it is complete, or report some of the missing processes */
enum { RESYNC_NOTHING, RESYNC_PART, RESYNC_ALL };
int resync_collect(struct resync *resync, struct proc_helper *helper);
/* resync_is_busy() - resync_collect() has more to do at once */
bool resync_is_busy(const struct resync *resync);

/*
 * The steps of the two above that do not use the helper; @result: of the scan
 * resync_begin_taking() - Return: 0, or a negative errno: the scan is repeated
 * resync_go_on_taking() - Return: whether all of it is merged. The snapshot stays the caller's, and as it is until then.
 * resync_take() - both, all of it at once
 */
void resync_started(struct resync *resync, uint64_t now_nsec);
int resync_begin_taking(struct resync *resync, const struct proc_snapshot *snapshot, int result,
			uint64_t now_nsec);
bool resync_go_on_taking(struct resync *resync);
int resync_take(struct resync *resync, const struct proc_snapshot *snapshot, int result, uint64_t now_nsec);

/* resync_holds() - events wait for a scan, or until missing processes are reported */
bool resync_holds(const struct resync *resync, uint64_t now_nsec);
bool resync_is_wanted(const struct resync *resync);
/* resync_release() - events do not wait any longer */
void resync_release(struct resync *resync);

/*
 * resync_settle() - report the missing processes when no event from before the end of the scan can arrive any more
 * @newest_nsec: time of the event that is about to be published; @idle: nothing is queued
 */
void resync_settle(struct resync *resync, uint64_t newest_nsec, bool idle);

/* resync_note_exit() - an exit is about to be published */
void resync_note_exit(struct resync *resync, const struct fb_event *event);
/* resync_has_ended() - was the end of the event's process reported lately? */
bool resync_has_ended(const struct resync *resync, const struct fb_event *event);
/* resync_ended_after() - was the end of a process with this pid reported that came after this time (CLOCK_BOOTTIME, µs)? */
bool resync_ended_after(const struct resync *resync, uint32_t pid, uint64_t boot_usec);
