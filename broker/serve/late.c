// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/late.h"

#include <errno.h>
#include <event2/event.h>

#include "core/priority.h"
#include "core/slice.h"

/* One thing of the first entry, which then is the last. */
static void run_one(struct late *late)
{
	struct late_entry *entry = TAILQ_FIRST(&late->entries);
	unsigned int what = entry->what & ~entry->last;

	if (what != LATE_WRITE)
		what = entry->what & LATE_READ ? LATE_READ : LATE_WRITE;
	TAILQ_REMOVE(&late->entries, entry, link);
	entry->what &= ~what;
	entry->last = what;
	if (entry->what)
		TAILQ_INSERT_TAIL(&late->entries, entry, link);
	late->run(entry, what);
}

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	struct slice slice = slice_begin(SLICE_NSEC);
	struct late *late = userdata;

	(void)fd, (void)what;
	while (!TAILQ_EMPTY(&late->entries) && !slice_turn_is_over(monotonic_nsec()) &&
	       !slice_is_over(&slice, SLICE_DEAR))
		run_one(late);
	if (!TAILQ_EMPTY(&late->entries))
		event_active(late->turn, EV_TIMEOUT, 0);
}

int late_init(struct late *late, struct event_base *base,
	      void (*run)(struct late_entry *entry, unsigned int what))
{
	TAILQ_INIT(&late->entries);
	late->run = run;
	late->turn = event_new(base, -1, 0, on_turn, late);
	if (!late->turn)
		return -ENOMEM;
	event_priority_set(late->turn, PRIORITY_LATE);
	return 0;
}

void late_done(struct late *late)
{
	if (late->turn)
		event_free(late->turn);
	late->turn = NULL;
}

void late_add(struct late *late, struct late_entry *entry, unsigned int what)
{
	if (!entry->what)
		TAILQ_INSERT_TAIL(&late->entries, entry, link);
	entry->what |= what;
	event_active(late->turn, EV_TIMEOUT, 0);
}

void late_drop(struct late *late, struct late_entry *entry, unsigned int what)
{
	if (!entry->what)
		return;
	entry->what &= ~what;
	if (!entry->what)
		TAILQ_REMOVE(&late->entries, entry, link);
}
