// SPDX-License-Identifier: LGPL-2.1-or-later
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/hash-number.h"

#include "core/fold.h"

/* How many owners are added between two searches for those that can be forgotten. */
#define SWEEP_EVERY 256

/* The newest of the events of a task that are alike. */
struct kept {
	enum event_type type;
	uint64_t start_usec; /* of its process; 0: not known */
	uint64_t folded;     /* events that it stands for besides itself */
	struct {
		field_set has;
		uint32_t uid, gid, euid, egid;
	} old; /* ids of the first event: those that the log knows */
	size_t size;
	unsigned char *packed;
	TAILQ_ENTRY(kept) link;
};

struct kept_task {
	uint32_t number; /* fold_task() */
	struct fold_owner *owner;
	TAILQ_HEAD(, kept) events; /* by time, the oldest first */
	TAILQ_ENTRY(kept_task) turn;
	UT_hash_handle hh;
};

struct fold_owner {
	uint32_t id;
	uint64_t free_usec; /* when it has made up for all of its events; it may be FOLD_BURST events ahead */
	TAILQ_HEAD(, kept_task) tasks;
	TAILQ_ENTRY(fold_owner) turn; /* while there are some */
	UT_hash_handle hh;
};

struct fold {
	struct fold_owner *owners;
	struct kept_task *tasks;
	TAILQ_HEAD(, fold_owner) waiting;
	uint64_t now;	     /* the latest time */
	struct kept *popped; /* the last, which its reader may still use */
	unsigned int added;
};

int fold_new(struct fold **ret)
{
	struct fold *fold = calloc(1, sizeof(*fold));

	if (!fold)
		return -ENOMEM;
	TAILQ_INIT(&fold->waiting);
	*ret = fold;
	return 0;
}

static void kept_free(struct kept *kept)
{
	if (!kept)
		return;
	free(kept->packed);
	free(kept);
}

static void task_free(struct fold *fold, struct kept_task *task)
{
	struct fold_owner *owner = task->owner;

	TAILQ_REMOVE(&owner->tasks, task, turn);
	if (TAILQ_EMPTY(&owner->tasks))
		TAILQ_REMOVE(&fold->waiting, owner, turn);
	HASH_DEL(fold->tasks, task);
	free(task);
}

struct fold *fold_free(struct fold *fold)
{
	struct fb_event event;

	if (!fold)
		return NULL;
	while (fold->tasks)
		(void)fold_pop(fold, fold->tasks->number, &event);
	kept_free(fold->popped);
	while (fold->owners) {
		struct fold_owner *owner = fold->owners;

		HASH_DEL(fold->owners, owner);
		free(owner);
	}
	free(fold);
	return NULL;
}

/* Owners */

/* Those that have made up for everything are as new ones. */
static void sweep(struct fold *fold, uint64_t now)
{
	struct fold_owner *owner, *next;

	for (owner = fold->owners; owner; owner = next) {
		next = owner->hh.next;
		if (owner->free_usec > now || !TAILQ_EMPTY(&owner->tasks))
			continue;
		HASH_DEL(fold->owners, owner);
		free(owner);
	}
}

static struct fold_owner *owner_get(struct fold *fold, uint32_t id, uint64_t now)
{
	struct fold_owner *owner;
	bool oom = false;

	HASH_FIND(hh, fold->owners, &id, sizeof(id), owner);
	if (owner)
		return owner;
	if (++fold->added % SWEEP_EVERY == 0)
		sweep(fold, now);
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->id = id;
	TAILQ_INIT(&owner->tasks);
	HASH_ADD(hh, fold->owners, id, sizeof(id), owner);
	if (oom) {
		free(owner);
		return NULL;
	}
	return owner;
}

static bool may_publish(const struct fold_owner *owner, uint64_t now)
{
	return owner->free_usec <= now + (FOLD_BURST - 1) * FOLD_USEC;
}

/* What is published because something else happens to a process must not hold back its owner's later events for long. */
static void spend(struct fold_owner *owner, uint64_t now)
{
	uint64_t latest = now + FOLD_BURST * FOLD_USEC;

	owner->free_usec = (owner->free_usec > now ? owner->free_usec : now) + FOLD_USEC;
	if (owner->free_usec > latest)
		owner->free_usec = latest;
}

/* Tasks, and their events */

static struct kept_task *task_find(const struct fold *fold, uint32_t number)
{
	struct kept_task *task;

	HASH_FIND(hh, fold->tasks, &number, sizeof(number), task);
	return task;
}

static struct kept_task *task_new(struct fold *fold, uint32_t number, struct fold_owner *owner)
{
	struct kept_task *task = calloc(1, sizeof(*task));
	bool oom = false;

	if (!task)
		return NULL;
	task->number = number;
	task->owner = owner;
	TAILQ_INIT(&task->events);
	HASH_ADD(hh, fold->tasks, number, sizeof(number), task);
	if (oom) {
		free(task);
		return NULL;
	}
	if (TAILQ_EMPTY(&owner->tasks))
		TAILQ_INSERT_TAIL(&fold->waiting, owner, turn);
	TAILQ_INSERT_TAIL(&owner->tasks, task, turn);
	return task;
}

static uint64_t start_of(const struct fb_event *event)
{
	return EVENT_HAS(event, start_usec) ? event->start_usec : 0;
}

static struct kept *kept_find(const struct kept_task *task, const struct fb_event *event)
{
	struct kept *kept;

	TAILQ_FOREACH(kept, &task->events, link)
		if (kept->type == event->type && kept->start_usec == start_of(event))
			return kept;
	return NULL;
}

#define OLD_IDS (EVENT_BIT(old_uid) | EVENT_BIT(old_gid) | EVENT_BIT(old_euid) | EVENT_BIT(old_egid))

static struct kept *kept_new(struct kept_task *task, const struct fb_event *event)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return NULL;
	kept->type = event->type;
	kept->start_usec = start_of(event);
	kept->old.has = event->has & OLD_IDS;
	kept->old.uid = event->old_uid;
	kept->old.gid = event->old_gid;
	kept->old.euid = event->old_euid;
	kept->old.egid = event->old_egid;
	TAILQ_INSERT_TAIL(&task->events, kept, link);
	return kept;
}

/* Return: 0 or -ENOMEM: then the older event is still there. */
static int kept_set(struct kept *kept, const struct fb_event *event)
{
	static unsigned char packed[EVENT_PACKED_MAX];
	size_t size = fb_event_pack(event, packed);

	if (size != kept->size) {
		unsigned char *room = realloc(kept->packed, size);

		if (!room)
			return -ENOMEM;
		kept->packed = room;
		kept->size = size;
	}
	memcpy(kept->packed, packed, size);
	return 0;
}

/* Return: 0 or -ENOMEM: then nothing has changed. */
static int keep(struct fold *fold, struct fold_owner *owner, struct kept_task *task,
		const struct fb_event *event)
{
	struct kept *kept = task ? kept_find(task, event) : NULL;
	bool is_new = !kept;

	if (!task)
		task = task_new(fold, fold_task(event), owner);
	if (task && is_new)
		kept = kept_new(task, event);
	if (kept && kept_set(kept, event) == 0) {
		kept->folded += !is_new;
		TAILQ_REMOVE(&task->events, kept, link);
		TAILQ_INSERT_TAIL(&task->events, kept, link);
		return 0;
	}
	if (kept && is_new) {
		TAILQ_REMOVE(&task->events, kept, link);
		kept_free(kept);
	}
	if (task && TAILQ_EMPTY(&task->events))
		task_free(fold, task);
	return -ENOMEM;
}

/* Events of several processors may come in another order. */
static void note_time(struct fold *fold, uint64_t now)
{
	if (now > fold->now)
		fold->now = now;
}

bool fold_take(struct fold *fold, uint32_t id, const struct fb_event *event, uint32_t *task_due)
{
	uint64_t now = event->boot_usec;
	struct kept_task *task;
	struct fold_owner *owner;

	*task_due = 0;
	if (!EVENT_HAS(event, boot_usec) || !EVENT_HAS(event, pid))
		return false;
	note_time(fold, now);
	owner = owner_get(fold, id, now);
	if (!owner)
		return false;
	task = task_find(fold, fold_task(event));
	/* An event that others of its task wait before would be out of order. */
	if (!task && TAILQ_EMPTY(&owner->tasks) && may_publish(owner, now)) {
		spend(owner, now);
		return false;
	}
	if (keep(fold, owner, task, event) < 0)
		return false;
	if (may_publish(owner, now) && !TAILQ_EMPTY(&owner->tasks))
		*task_due = TAILQ_FIRST(&owner->tasks)->number;
	return true;
}

bool fold_waits(const struct fold *fold)
{
	return fold->tasks != NULL;
}

uint32_t fold_due(struct fold *fold, uint64_t boot_usec)
{
	const struct fold_owner *owner;

	note_time(fold, boot_usec);
	TAILQ_FOREACH(owner, &fold->waiting, turn)
		if (may_publish(owner, boot_usec))
			return TAILQ_FIRST(&owner->tasks)->number;
	return 0;
}

uint32_t fold_any(const struct fold *fold)
{
	return fold->tasks ? fold->tasks->number : 0;
}

static void unpack(const struct kept *kept, struct fb_event *event)
{
	int r = fb_event_unpack(event, kept->packed, kept->size);

	assert(r == 0);
	(void)r;
	if (kept->folded == 0)
		return;
	EVENT_SET(event, folded, kept->folded);
	event->has = (event->has & ~OLD_IDS) | kept->old.has;
	event->old_uid = kept->old.uid;
	event->old_gid = kept->old.gid;
	event->old_euid = kept->old.euid;
	event->old_egid = kept->old.egid;
}

bool fold_pop(struct fold *fold, uint32_t number, struct fb_event *event)
{
	struct kept_task *task = task_find(fold, number);
	struct kept *kept;

	if (!task)
		return false;
	kept = TAILQ_FIRST(&task->events);
	unpack(kept, event);
	spend(task->owner, fold->now);
	TAILQ_REMOVE(&task->events, kept, link);
	kept_free(fold->popped);
	fold->popped = kept;
	if (TAILQ_EMPTY(&task->events))
		task_free(fold, task);
	return true;
}
