// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/privacy.h"
#include "core/table.h"

/* What the source saw in /proc: nothing (it did not look), that the program is protected, or that it is not. */
static uint32_t protection(const struct fb_event *event)
{
	return EVENT_HAS(event, privacy) ? event->privacy & PRIVACY_ALL : PRIVACY_NONE;
}

static bool is_unprotected(const struct fb_event *event)
{
	return EVENT_HAS(event, privacy) && protection(event) == PRIVACY_NONE;
}

/* What a child takes from the process that forked it. */
static uint32_t inherited(uint32_t parent, const struct fb_event *fork)
{
	if (parent == PRIVACY_UNKNOWN)
		return is_unprotected(fork) ? PRIVACY_NONE : PRIVACY_ALL;
	/* A child's counters begin at 0. */
	return parent & PRIVACY_PROGRAM ? PRIVACY_ALL : PRIVACY_NONE;
}

/* The user of a process that is not protected can read all of it in /proc, whatever it did before. */
static uint32_t before(const struct process *process, bool known, const struct fb_event *event)
{
	if (process && (known || is_unprotected(event)))
		return process->privacy;
	return is_unprotected(event) ? PRIVACY_NONE : PRIVACY_ALL;
}

uint32_t privacy_after_event(const struct process *process, bool known, uint32_t parent,
			     const struct fb_event *event)
{
	uint32_t ids = privacy_of_ids(event);

	if (fb_event_is_thread(event))
		return before(process, known, event) | ids;
	switch (event->type) {
	case EVENT_FORK:
		/* A process that is known already was found in /proc after this fork. */
		return ids | inherited(parent, event) | (process ? process->privacy : PRIVACY_NONE);
	case EVENT_EXEC:
		if (ids | (protection(event) & PRIVACY_PROGRAM))
			return PRIVACY_ALL;
		return before(process, known, event) & PRIVACY_USAGE;
	case EVENT_ID:
		/* The memory and the files of the program are of the user that it was. */
		return PRIVACY_ALL;
	default:
		return ids | protection(event) | before(process, known, event);
	}
}

static bool ids_changed(const struct process *process, const struct fb_event *event)
{
	field_set both = process->has & event->has;

#define CHANGED(_member) ((both & EVENT_BIT(_member)) && process->_member != event->_member)
	return CHANGED(uid) || CHANGED(gid) || CHANGED(euid) || CHANGED(egid);
#undef CHANGED
}

uint32_t privacy_after_learning(const struct process *process, const struct fb_event *learned)
{
	bool plain = is_unprotected(learned) && privacy_of_ids(learned) == PRIVACY_NONE;
	uint32_t marks;

	if (!process)
		return plain ? PRIVACY_NONE : PRIVACY_ALL;
	marks = process->privacy | protection(learned);
	/* The event that changed them was lost. */
	if (ids_changed(process, learned))
		marks = PRIVACY_ALL;
	/* So was an exec: only an exec ends the protection. */
	return plain ? marks & ~(uint32_t)PRIVACY_PROGRAM : marks;
}
