/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Limits what one owner can write to the shared log by events that a process can make at will, many thousands in a second,
 * and that end nothing: new names, ids, roots, tracers. Forks, execs and exits are never held back; pid limits bound those.
 *
 * An owner may make FOLD_BURST of them at once, and one more every FOLD_USEC. Those beyond that are kept, one for each
 * task (a process, or one of its other threads) and type: the newest replaces the one before. They are published
 *
 *   - when the owner may make one again, the task that waits longest first,
 *   - in any case before another event of the same task: so the log's order is right, and the last name is in the log
 *     before the exit.
 *
 * The event that is published has the field "folded": how many it stands for besides itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "event.h"

#define FOLD_TYPES                                                                              \
	(EVENT_TYPE_BIT(EVENT_COMM) | EVENT_TYPE_BIT(EVENT_ID) | EVENT_TYPE_BIT(EVENT_CHROOT) | \
	 EVENT_TYPE_BIT(EVENT_PTRACE))
#define FOLD_BURST 1000
#define FOLD_USEC  (20 * USEC_PER_MSEC)

struct fold;

/* fold_task() - the number of the process or thread that an event is about; it has a pid */
static inline uint32_t fold_task(const struct fb_event *event)
{
	return fb_event_is_thread(event) ? event->tid : event->pid;
}

int fold_new(struct fold **ret);
struct fold *fold_free(struct fold *fold);

/*
 * fold_take() - an event of FOLD_TYPES happens
 * Times are those of events. One without a time or a pid, and one for which there is no memory, is not kept.
 * @task_due: set to a task to be popped now, or to 0
 * Return: whether it was kept; if not, the caller publishes it.
 */
bool fold_take(struct fold *fold, uint32_t owner, const struct fb_event *event, uint32_t *task_due);

/* fold_waits() - is anything kept? */
bool fold_waits(const struct fold *fold);

/* fold_due() - a task to be popped, because its owner may make an event again at @boot_usec. Return: its number, or 0. */
uint32_t fold_due(struct fold *fold, uint64_t boot_usec);

/* fold_any() - any task that has kept events. Return: its number, or 0. */
uint32_t fold_any(const struct fold *fold);

/*
 * fold_pop() - take the oldest kept event of a task, to publish it
 * @event: its texts are valid until the next fold_pop() or fold_free(). Return: whether there was one.
 */
bool fold_pop(struct fold *fold, uint32_t task, struct fb_event *event);
