// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash-number.h"
#include "core/table.h"

#include "core/intern.h"
#include "core/privacy.h"
#include "parents.h"

/* Structs of ended processes that are kept for the next forks. */
#define SPARE_MAX 4096

/* Types of events that are about a process. */
#define PROCESS_TYPES                                                                                   \
	(EVENT_TYPE_BIT(EVENT_FORK) | EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_EXIT) |         \
	 EVENT_TYPE_BIT(EVENT_ID) | EVENT_TYPE_BIT(EVENT_COMM) | EVENT_TYPE_BIT(EVENT_SESSION) |        \
	 EVENT_TYPE_BIT(EVENT_CHROOT) | EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE) | \
	 EVENT_TYPE_BIT(EVENT_PROCESS))

#define SLOT_NONE (SIZE_MAX >> 1)

struct table {
	struct process *processes; /* by pid */
	struct parents parents;
	struct lineage lineage;
	struct intern *texts;
	uintptr_t *slots; /* places of the walk: a struct process, or (next free slot << 1 | 1) */
	size_t n_slots, slots_max;
	size_t free_slot; /* SLOT_NONE: none */
	struct process *spare;
	unsigned int n_spare;
	struct process *gone;	/* ended by the last event, which may use its texts */
	struct process *latest; /* found last: the next question is mostly about it, too */
	uint32_t certain;	/* how often events were lost */
};

int table_new(struct table **ret)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	if (intern_new(&table->texts) < 0) {
		free(table);
		return -ENOMEM;
	}
	table->free_slot = SLOT_NONE;
	table->lineage.changes = 1;
	*ret = table;
	return 0;
}

size_t table_count(const struct table *table)
{
	return HASH_COUNT(table->processes);
}

/* Remembers the answer, and so changes a table that is const for the caller. */
static struct process *find(const struct table *table, uint32_t pid)
{
	struct process *process = table->latest;

	if (process && process->id.pid == pid)
		return process;
	HASH_FIND(hh, table->processes, &pid, sizeof(pid), process);
	if (process)
		((struct table *)(uintptr_t)table)->latest = process;
	return process;
}

const struct process *table_find(const struct table *table, uint32_t pid)
{
	return find(table, pid);
}

/* Slots */

static int slot_take(struct table *table, struct process *process)
{
	size_t max = table->slots_max ? 2 * table->slots_max : 1024;
	uintptr_t *slots;

	if (table->free_slot != SLOT_NONE) {
		process->slot = table->free_slot;
		table->free_slot = table->slots[process->slot] >> 1;
		table->slots[process->slot] = (uintptr_t)process;
		return 0;
	}
	if (table->n_slots == table->slots_max) {
		slots = reallocarray(table->slots, max, sizeof(*slots));
		if (!slots)
			return -ENOMEM;
		table->slots = slots;
		table->slots_max = max;
	}
	process->slot = table->n_slots++;
	table->slots[process->slot] = (uintptr_t)process;
	return 0;
}

static void slot_give(struct table *table, struct process *process)
{
	table->slots[process->slot] = table->free_slot << 1 | 1;
	table->free_slot = process->slot;
}

const struct process *table_walk(const struct table *table, size_t *slot)
{
	while (*slot < table->n_slots) {
		uintptr_t value = table->slots[(*slot)++];

		if (!(value & 1))
			return (const struct process *)value;
	}
	return NULL;
}

/* Processes */

static struct process *process_alloc(struct table *table)
{
	struct process *process = table->spare;

	if (!process)
		return calloc(1, sizeof(*process));
	table->spare = process->sibling;
	table->n_spare--;
	memset(process, 0, sizeof(*process));
	return process;
}

static void process_recycle(struct table *table, struct process *process)
{
	intern_put(table->texts, process->exe);
	intern_put(table->texts, process->cgroup);
	process->line = lineage_end(&table->lineage, process->line);
	if (table->n_spare == SPARE_MAX) {
		free(process);
		return;
	}
	process->sibling = table->spare;
	table->spare = process;
	table->n_spare++;
}

static struct process *process_add(struct table *table, uint32_t pid)
{
	struct process *process = process_alloc(table);
	bool oom = false;

	if (!process)
		return NULL;
	process->id.pid = pid;
	if (slot_take(table, process) < 0) {
		process_recycle(table, process);
		return NULL;
	}
	HASH_ADD(hh, table->processes, id.pid, sizeof(pid), process);
	if (oom) {
		slot_give(table, process);
		process_recycle(table, process);
		return NULL;
	}
	process->line = lineage_add(&table->lineage);
	return process;
}

static void process_detach(struct table *table, struct process *process)
{
	parents_orphan(process);
	parents_leave(&table->parents, process);
	slot_give(table, process);
	HASH_DEL(table->processes, process);
	if (table->latest == process)
		table->latest = NULL;
}

struct table *table_free(struct table *table)
{
	struct process *process;

	if (!table)
		return NULL;
	while ((process = table->processes)) {
		process_detach(table, process);
		process_recycle(table, process);
	}
	if (table->gone)
		process_recycle(table, table->gone);
	while ((process = table->spare)) {
		table->spare = process->sibling;
		free(process);
	}
	lineage_done(&table->lineage);
	intern_free(table->texts);
	free(table->slots);
	free(table);
	return NULL;
}

/* Fields of events */

static uint8_t copy_text(char *to, size_t max, struct event_text from)
{
	size_t len = from.len < max ? from.len : max - 1;

	if (len > 0)
		memmove(to, from.data, len);
	to[len] = '\0';
	return (uint8_t)len;
}

/* A path ends at a NUL, even if the source gave a greater length. Return: 1 if the path has changed, 0, or -ENOMEM. */
static int replace_path(struct table *table, const char **path, struct event_text from)
{
	size_t len = from.len ? strnlen(from.data, from.len < EVENT_PATH_MAX ? from.len : EVENT_PATH_MAX) : 0;
	const char *text;

	if (*path && strncmp(*path, from.len ? from.data : "", len) == 0 && (*path)[len] == '\0')
		return 0;
	text = intern_get(table->texts, from.len ? from.data : "", len);
	if (!text)
		return -ENOMEM;
	intern_put(table->texts, *path);
	*path = text;
	return 1;
}

/* Where a unit's name stands in a path, which mostly ends with it; or NULL. */
static const char *find_unit(const char *cgroup, struct event_text unit)
{
	size_t len = strlen(cgroup);

	if (len >= unit.len && memcmp(cgroup + len - unit.len, unit.data, unit.len) == 0)
		return cgroup + len - unit.len;
	return memmem(cgroup, len, unit.data, unit.len);
}

static int process_set_paths(struct table *table, struct process *process, const struct fb_event *event)
{
	const char *unit;
	int r;

	if (EVENT_HAS(event, exe)) {
		r = replace_path(table, &process->exe, event->exe);
		if (r < 0)
			return r;
		process->has |= EVENT_BIT(exe);
	} else if (event->type == EVENT_EXEC) {
		process->exe = intern_put(table->texts, process->exe);
		process->has &= ~EVENT_BIT(exe);
	}
	if (EVENT_HAS(event, cgroup)) {
		r = replace_path(table, &process->cgroup, event->cgroup);
		if (r < 0)
			return r;
		process->has |= EVENT_BIT(cgroup);
		if (r > 0)
			process->has &= ~EVENT_BIT(unit);
	}
	if (EVENT_HAS(event, unit) && process->cgroup && event->unit.len > 0) {
		unit = find_unit(process->cgroup, event->unit);
		process->has &= ~EVENT_BIT(unit);
		if (unit) {
			process->unit = (struct event_text){ unit, event->unit.len };
			process->has |= EVENT_BIT(unit);
		}
	}
	return 0;
}

static void process_set_values(struct process *process, const struct fb_event *event)
{
	if (EVENT_HAS(event, start_usec) && !(process->has & EVENT_BIT(start_usec))) {
		process->id.start_usec = event->start_usec;
		process->has |= EVENT_BIT(start_usec);
	}
#define K(_member, _type, _changes)                 \
	if (EVENT_HAS(event, _member)) {            \
		process->_member = event->_member;  \
		process->has |= EVENT_BIT(_member); \
	}
#include "event-kept-fields.h"
#undef K
	/* An exec names the process after the file; no session begins with a terminal. */
	if (event->type == EVENT_EXEC)
		process->has &= ~EVENT_BIT(comm);
	if (event->type == EVENT_SESSION)
		process->has &= ~EVENT_BIT(tty);
	if (EVENT_HAS(event, tty)) {
		process->tty_len = copy_text(process->tty, sizeof(process->tty), event->tty);
		process->has |= EVENT_BIT(tty);
	}
	if (EVENT_HAS(event, comm)) {
		process->comm_len = copy_text(process->comm, sizeof(process->comm), event->comm);
		process->has |= EVENT_BIT(comm);
	}
}

static int process_set_parent(struct table *table, struct process *process, const struct fb_event *event)
{
	bool same;
	int r;

	if (!EVENT_HAS(event, ppid))
		return 0;
	same = (process->has & EVENT_BIT(ppid)) && event->ppid == process->ppid;
	if (same && !EVENT_HAS(event, parent_start_usec))
		return 0;
	if (same && (process->has & EVENT_BIT(parent_start_usec)) &&
	    process->parent_start_usec == event->parent_start_usec)
		return 0;
	parents_leave(&table->parents, process);
	process->ppid = event->ppid;
	process->has |= EVENT_BIT(ppid);
	process->has &= ~EVENT_BIT(parent_start_usec);
	if (EVENT_HAS(event, parent_start_usec)) {
		process->parent_start_usec = event->parent_start_usec;
		process->has |= EVENT_BIT(parent_start_usec);
	}
	r = parents_join(&table->parents, process, find(table, process->ppid));
	/* The first one that is known: if that is not the one that forked it, it is one above. */
	if (process->parent)
		lineage_join(&table->lineage, process->line, process->parent->line);
	return r;
}

/* Is it the same process, as far as both sides know? */
static bool process_is_of(const struct process *process, const struct fb_event *event)
{
	return !(process->has & EVENT_BIT(start_usec)) || !EVENT_HAS(event, start_usec) ||
	       event_same_start(process->id.start_usec, event->start_usec);
}

/* Did it happen before the process started? */
static bool process_is_younger(const struct process *process, const struct fb_event *event)
{
	return (process->has & EVENT_BIT(start_usec)) && EVENT_HAS(event, boot_usec) &&
	       event->boot_usec + EVENT_START_SLACK_USEC < process->id.start_usec;
}

/* Is the event about another process than the one in the table? A fork with the same start is the fork of that one. */
static bool process_is_reused(const struct process *process, const struct fb_event *event)
{
	bool known = (process->has & EVENT_BIT(start_usec)) && EVENT_HAS(event, start_usec);

	return known ? !process_is_of(process, event) : event->type == EVENT_FORK;
}

/* Privacy */

/* The types that begin or end what is private; the others have marks, but change none. */
#define PRIVACY_TYPES (EVENT_TYPE_BIT(EVENT_FORK) | EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_ID))

uint32_t table_privacy(const struct table *table, const struct process *process)
{
	return process->certain == table->certain ? process->privacy : PRIVACY_ALL;
}

void table_doubt(struct table *table)
{
	table->certain++;
}

/* The marks of the process that called fork(2). */
static uint32_t privacy_of_parent(const struct table *table, const struct fb_event *fork)
{
	const struct process *parent = EVENT_HAS(fork, ppid) ? find(table, fork->ppid) : NULL;

	/* The parent of a CLONE_PARENT child is not the process that made it. */
	if (!parent || (EVENT_HAS(fork, clone_flags) && fork->clone_flags & CLONE_PARENT))
		return PRIVACY_UNKNOWN;
	if ((parent->has & EVENT_BIT(start_usec)) && EVENT_HAS(fork, parent_start_usec) &&
	    !event_same_start(parent->id.start_usec, fork->parent_start_usec))
		return PRIVACY_UNKNOWN;
	return table_privacy(table, parent);
}

void table_mark(const struct table *table, struct fb_event *event)
{
	const struct process *process;
	uint32_t marks;

	if (!(EVENT_TYPE_BIT(event->type) & PROCESS_TYPES) || !EVENT_HAS(event, pid))
		return;
	process = find(table, event->pid);
	if (process && process_is_reused(process, event))
		process = NULL;
	marks = privacy_after_event(process, process && process->certain == table->certain,
				    event->type == EVENT_FORK ? privacy_of_parent(table, event) : 0, event);
	if (marks != privacy_of_ids(event))
		EVENT_SET(event, privacy, marks);
	else
		EVENT_CLEAR(event, privacy);
}

/* @process: before the event changes it */
static void process_set_privacy(const struct table *table, struct process *process, bool added,
				const struct fb_event *event)
{
	if (event->type == EVENT_PROCESS)
		process->privacy = (uint8_t)privacy_after_learning(added ? NULL : process, event);
	else if (added || EVENT_TYPE_BIT(event->type) & PRIVACY_TYPES)
		process->privacy = (uint8_t)privacy_of(event);
	else
		return;
	if (added || event->type != EVENT_PROCESS || EVENT_HAS(event, privacy))
		process->certain = table->certain;
}

static int table_update(struct table *table, struct process *process, const struct fb_event *event)
{
	bool added = !process;
	int r;

	if (added) {
		process = process_add(table, event->pid);
		if (!process)
			return -ENOMEM;
	}
	if (event->type == EVENT_FORK)
		process->born = event->seq;
	if (EVENT_HAS(event, seq))
		process->changed = event->seq;
	process_set_privacy(table, process, added, event);
	process_set_values(process, event);
	r = process_set_parent(table, process, event);
	if (r == 0)
		r = process_set_paths(table, process, event);
	if (!added)
		return r;
	parents_adopt(&table->parents, process);
	for (struct process *child = process->children; child; child = child->sibling)
		lineage_join(&table->lineage, child->line, process->line);
	return r;
}

int table_apply(struct table *table, const struct fb_event *event)
{
	struct process *process;

	if (table->gone) {
		process_recycle(table, table->gone);
		table->gone = NULL;
	}
	if (!(EVENT_TYPE_BIT(event->type) & PROCESS_TYPES) || !EVENT_HAS(event, pid) ||
	    fb_event_is_thread(event))
		return 0;
	process = find(table, event->pid);
	if (process && !process_is_of(process, event) && process_is_younger(process, event))
		return 0;
	if (process && (event->type == EVENT_EXIT || process_is_reused(process, event))) {
		process_detach(table, process);
		table->gone = process;
		process = NULL;
	}
	if (event->type != EVENT_EXIT)
		return table_update(table, process, event);
	parents_orphan_awaited(&table->parents, event->pid);
	return 0;
}

struct lineage *table_lineage(struct table *table)
{
	return &table->lineage;
}

struct line *table_line(const struct table *table, const struct fb_event *event)
{
	const struct process *process = table->gone;

	if (!EVENT_HAS(event, pid))
		return NULL;
	if (event->type != EVENT_EXIT || !process || process->id.pid != event->pid)
		process = find(table, event->pid);
	return process && process_is_of(process, event) ? process->line : NULL;
}

void table_forget(struct table *table, const struct process *process, field_set fields)
{
	((struct process *)table->slots[process->slot])->has &= ~fields;
}

void process_describe(const struct process *process, struct fb_event *event, field_set fields)
{
	field_set wanted = process->has & fields & ~event->has;

	if (fields & ~event->has & EVENT_BIT(pid))
		EVENT_SET(event, pid, process->id.pid);
#define SET(_member)                     \
	if (wanted & EVENT_BIT(_member)) \
		EVENT_SET(event, _member, process->_member);
#define K(_member, _type, _changes) SET(_member)
#include "event-kept-fields.h"
#undef K
	SET(ppid)
	SET(parent_start_usec)
	SET(unit)
#undef SET
	if (wanted & EVENT_BIT(start_usec))
		EVENT_SET(event, start_usec, process->id.start_usec);
	if (wanted & EVENT_BIT(tty))
		EVENT_SET(event, tty, ((struct event_text){ process->tty, process->tty_len }));
	if (wanted & EVENT_BIT(comm))
		EVENT_SET(event, comm, ((struct event_text){ process->comm, process->comm_len }));
	if (wanted & EVENT_BIT(exe))
		EVENT_SET(event, exe, event_text(process->exe));
	if (wanted & EVENT_BIT(cgroup))
		EVENT_SET(event, cgroup, event_text(process->cgroup));
}

void table_describe(const struct table *table, const struct process *process, struct fb_event *event)
{
	fb_event_init(event, EVENT_PROCESS);
	process_describe(process, event, FIELDS_ALL);
	EVENT_SET(event, privacy, table_privacy(table, process));
}

/* Filters */

static int resolve_pid(const struct table *table, struct process_id *pid, const char *key,
		       struct filter_error *error)
{
	const struct process *process = table_find(table, pid->pid);

	if (pid->start_usec != 0) {
		/* Its fork was not reported, so the start may be known from an earlier broker, by another source. */
		if (process && process->born == 0 && process_id_equal(process->id, *pid))
			pid->start_usec = process->id.start_usec;
		return 0;
	}
	if (process && (process->has & EVENT_BIT(start_usec))) {
		pid->start_usec = process->id.start_usec;
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
