// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/clock.h"
#include "source/module/module.h"
#include "source/proc/unit.h"

/* For the path of a cgroup no record waits longer. */
#define HOLD_NSEC (20 * NSEC_PER_MSEC)

#define PLACE (EVENT_BIT(cgroup) | EVENT_BIT(unit))

/* A process that is known to be in this cgroup: the process itself, or the parent of a new one. NULL: neither is. */
static const struct process *neighbour(const struct module_subject *subject, const struct fb_event *event)
{
	const struct process *process = subject->process;

	if (!process && event->type == EVENT_FORK)
		process = subject->parent;
	return process && (process->has & EVENT_BIT(cgroup)) ? process : NULL;
}

static bool is_same(const struct process *process, const struct fb_event *event)
{
	return (process->has & EVENT_BIT(cgroup_id)) && process->cgroup_id == event->cgroup_id;
}

static bool is_root(struct event_text path)
{
	return path.len == 1 && path.data[0] == '/';
}

static void set_place(struct fb_event *event, struct event_text path)
{
	struct event_text unit = unit_from_cgroup(path);

	EVENT_SET(event, cgroup, path);
	if (unit.len > 0)
		EVENT_SET(event, unit, unit);
}

static bool may_wait(struct module *module, uint64_t seq)
{
	uint64_t now = monotonic_nsec();

	if (!module->patient)
		return false;
	if (module->held_seq != seq) {
		module->held_seq = seq;
		module->held_until_nsec = now + HOLD_NSEC;
		module->stats.held++;
	}
	return now < module->held_until_nsec;
}

/* The process moved to a cgroup whose path is unknown. */
static void unplace(struct module *module, struct process *process, const struct fb_event *event)
{
	module->stats.unplaced++;
	if (process && !fb_event_is_thread(event))
		process_forget(process, PLACE);
}

enum module_answer module_place(struct module *module, const struct module_subject *subject,
				struct fb_event *event, uint64_t seq)
{
	const struct process *process = neighbour(subject, event);
	struct event_text path;
	int r;

	/* Hierarchies of cgroup v1 have no such numbers: keep the paths that were read from /proc. */
	if (!module->cgroups || !EVENT_HAS(event, cgroup_id) || (process && is_same(process, event))) {
		if (process)
			process_describe(process, event, PLACE);
		return MODULE_TAKEN;
	}
	r = cgroups_find(module->cgroups, event->cgroup_id, &path);
	if (r == CGROUPS_E_LATER && may_wait(module, seq))
		return MODULE_HOLD;
	if (r != 0)
		unplace(module, subject->process, event);
	else if (is_root(path) && process && !(process->has & EVENT_BIT(cgroup_id)))
		process_describe(process, event, PLACE); /* name=systemd of v1 is more exact */
	else
		set_place(event, path);
	return MODULE_TAKEN;
}
