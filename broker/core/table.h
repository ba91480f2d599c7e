/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The living processes: filled from /proc when a source starts, then kept up to date by the events that are published.
 * Sources take from it the fields that their events lack; snapshots walk it.
 */

#include <uthash.h>

#include "core/lineage.h"
#include "event.h"
#include "filter.h"
#include "process-id.h"

#define PROCESS_TTY_MAX	 16
#define PROCESS_COMM_MAX 64

struct process {
	struct process_id id; /* the start: the first known value, which does not change */
	field_set has;	      /* EVENT_BIT()s of the fields that are known, start_usec among them */
	uint32_t ppid;
	uint64_t parent_start_usec;
#define K(_member, _type, _changes) _type _member;
#include "event-kept-fields.h"
#undef K
	uint8_t tty_len, comm_len;
	uint8_t privacy;  /* a set of enum privacy, see table_privacy() */
	uint32_t certain; /* no event was lost since these are known, if it is the table's number */
	char tty[PROCESS_TTY_MAX];
	char comm[PROCESS_COMM_MAX];
	const char *exe, *cgroup; /* shared with all that have the same, see intern.h; NULL where not known */
	struct event_text unit;	  /* within cgroup */
	uint64_t born;		  /* seq of the fork, 0: older than the table */
	uint64_t changed;	  /* seq of the latest event about it, 0: none since it is in the table */
	struct process *parent;	  /* as far as it is in the table; never in a circle */
	struct process *children;
	struct process *sibling, **sibling_prev;
	struct line *line; /* who it descends from; NULL if there was no memory */
	size_t slot;
	UT_hash_handle hh;
};

struct table;

int table_new(struct table **ret);
struct table *table_free(struct table *table);

size_t table_count(const struct table *table);

/* table_find() - the living process with a pid, or NULL */
const struct process *table_find(const struct table *table, uint32_t pid);

/*
 * table_apply() - update the table by an event
 * fork adds a process (so does any other event of an unknown process, except exit), exit removes it, all others update it. A
 * process event (from /proc) adds or updates as well. Events of threads are ignored. Fields that the event lacks stay as they
 * are, unless the event makes them wrong: exec drops exe and comm, session the terminal, a new cgroup the unit, and a new ppid
 * parentStartUsec.
 * A fork (unless it has the start that is in the table), or another startUsec, means that the pid was reused: the old process
 * is removed, and its children have lost their parent as by its exit. An event from before the start of the process in the
 * table is about an earlier process with this pid, and is ignored.
 * Return: 0 or -ENOMEM.
 */
int table_apply(struct table *table, const struct fb_event *event);

/*
 * table_mark() - set the privacy of an event that a source publishes, before table_apply() and the log take it
 * Its privacy is what the source has seen in /proc, if anything (privacy.h).
 */
void table_mark(const struct table *table, struct fb_event *event);

/* table_privacy() - what is private of a process now: a set of enum privacy */
uint32_t table_privacy(const struct table *table, const struct process *process);

/* table_doubt() - events were lost: all is private of every process until /proc or an event shows what is */
void table_doubt(struct table *table);

/* table_describe() - all of a process, as a process event; its texts are valid until the next event */
void table_describe(const struct table *table, const struct process *process, struct fb_event *event);

/*
 * process_describe() - set the fields that @event lacks to what is known of its process
 * @fields: those to consider, ~0 for all, exe among them. Texts point into the table: they outlive the
 * table_apply() of this event, even if it ends the process, but no other.
 */
void process_describe(const struct process *process, struct fb_event *event, field_set fields);

/* table_lineage() - the lines of its processes, for their labels */
struct lineage *table_lineage(struct table *table);

/*
 * table_line() - the line of the process that an event is about
 * After table_apply() of the event, even if it ended the process. Return: NULL if it is not known.
 */
struct line *table_line(const struct table *table, const struct fb_event *event);

/* table_forget() - drop fields that are no longer known: an event cannot express that, since what it lacks stays */
void table_forget(struct table *table, const struct process *process, field_set fields);

/*
 * table_resolve() - make the bare pids of a filter mean the processes that live now
 * Return: 0, or FILTER_E_INVALID with @error naming the key and the pid that does not live.
 */
int table_resolve(const struct table *table, struct filter *filter, struct filter_error *error);

/*
 * table_walk() - the next process at or after a slot, in an order that changes of the table do not disturb
 * Begin with *slot = 0. Processes born after the walk began may show (see process.born). Return: NULL at the
 * end.
 */
const struct process *table_walk(const struct table *table, size_t *slot);
