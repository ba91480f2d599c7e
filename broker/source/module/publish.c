// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/module/module.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "source/subject.h"

#define TYPES(_a, _b, _c, _d) \
	(EVENT_TYPE_BIT(_a) | EVENT_TYPE_BIT(_b) | EVENT_TYPE_BIT(_c) | EVENT_TYPE_BIT(_d))

/* Types that threads have, too: published to subscribers that requested threads. */
#define OF_THREADS TYPES(EVENT_FORK, EVENT_EXIT, EVENT_ID, EVENT_COMM)
/* Types that concern the whole process, whichever thread caused them. */
#define OF_PROCESS TYPES(EVENT_EXEC, EVENT_SESSION, EVENT_CHROOT, EVENT_COREDUMP)

/* Fields for which the record is the best source, even if it does not have them. */
#define OF_RECORD                                                                              \
	(EVENT_BIT(login_uid) | EVENT_BIT(ns_pid) | EVENT_BIT(pid_ns) | EVENT_BIT(cgroup_id) | \
	 EVENT_BIT(cgroup) | EVENT_BIT(unit) | EVENT_BIT(tty) | EVENT_BIT(comm) | EVENT_BIT(exe))

/* The longest time that a record waits for the path of its cgroup. */
#define HOLD_NSEC (20 * NSEC_PER_MSEC)

#define PLACE (EVENT_BIT(cgroup) | EVENT_BIT(unit))

/*
 * The largest difference between the times that two sources give the same event. Forks and exits need none: a process has
 * one of each.
 */
#define SEAM_APART_USEC	 (20 * USEC_PER_MSEC)
/* Records that are later than this after the change of sources were reported only by the module. */
#define SEAM_AFTER_USEC	 (1 * USEC_PER_SEC)
/* How long before the change of sources to start searching the log: it has the order of publishing, not of time. */
#define SEAM_BEFORE_USEC (1 * USEC_PER_SEC)

#define SEAM_TYPES (HUB_ARMED_ALWAYS | EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE))

/* Which records are published */

/* Other listeners may have armed more types than the broker needs. */
static bool is_wanted(const struct module *module, struct fb_event *event)
{
	uint32_t type = EVENT_TYPE_BIT(event->type);

	if (type & OF_PROCESS)
		EVENT_CLEAR(event, tid);
	if ((type & OF_THREADS) && fb_event_is_thread(event) && !(hub_armed(module->hub) & HUB_ARMED_THREADS))
		return false;
	return hub_armed(module->hub) & type;
}

/* Events that the previous source has published */

static int seam_add(struct module_seam *seam, const struct fb_event *event)
{
	size_t max = seam->max ? 2 * seam->max : 256;
	struct module_published *published;

	if (seam->n == seam->max) {
		published = reallocarray(seam->published, max, sizeof(*published));
		if (!published)
			return -ENOMEM;
		seam->published = published;
		seam->max = max;
	}
	seam->published[seam->n++] = (struct module_published){
		.type = event->type,
		.id = { event->pid, EVENT_HAS(event, start_usec) ? event->start_usec : 0 },
		.boot_usec = event->boot_usec,
	};
	return 0;
}

int module_seam_begin(struct module_seam *seam, const struct log *log, uint64_t since_usec)
{
	uint64_t boot = clock_usec(CLOCK_BOOTTIME), real = clock_usec(CLOCK_REALTIME);
	uint64_t from = log_seek_time(log, real - (boot - since_usec) - SEAM_BEFORE_USEC);
	struct log_place place;
	struct fb_event event;
	int r = 0;

	seam->until_usec = boot + SEAM_AFTER_USEC;
	if (log_seek(log, from, &place) != 0)
		return 0;
	while (r == 0 && log_read(log, &place, &event) == 0)
		if ((EVENT_TYPE_BIT(event.type) & SEAM_TYPES) && EVENT_HAS(&event, boot_usec) &&
		    EVENT_HAS(&event, pid) && !fb_event_is_thread(&event) &&
		    event.boot_usec + SEAM_APART_USEC >= since_usec)
			r = seam_add(seam, &event);
	return r;
}

void module_seam_done(struct module_seam *seam)
{
	free(seam->published);
	*seam = (struct module_seam){};
}

static bool is_it(const struct module_published *published, const struct fb_event *event)
{
	uint64_t apart = published->boot_usec > event->boot_usec ? published->boot_usec - event->boot_usec
								 : event->boot_usec - published->boot_usec;

	if (published->type != event->type || published->id.pid != event->pid)
		return false;
	if (published->id.start_usec && !event_same_start(published->id.start_usec, event->start_usec))
		return false;
	return event->type == EVENT_FORK || event->type == EVENT_EXIT || apart <= SEAM_APART_USEC;
}

/* Return true only once for each event. */
static bool was_published(struct module_seam *seam, const struct fb_event *event)
{
	if (seam->n == 0)
		return false;
	if (event->boot_usec > seam->until_usec) {
		module_seam_done(seam);
		return false;
	}
	for (size_t i = 0; !fb_event_is_thread(event) && i < seam->n; i++)
		if (is_it(&seam->published[i], event)) {
			/* Keep the order: of two equal events, the one published first is removed first. */
			memmove(&seam->published[i], &seam->published[i + 1],
				(--seam->n - i) * sizeof(seam->published[0]));
			return true;
		}
	return false;
}

/* The process that a record is about */

/*
 * The start time that was published first identifies the process from then on; that of /proc is cut to a tick.
 * Return: whether it is that process, as far as is known.
 */
static bool adopt_known_start(const struct process *process, uint64_t *start_usec)
{
	if (!(process->has & EVENT_BIT(start_usec)))
		return true;
	if (!event_same_start(process->id.start_usec, *start_usec))
		return false;
	*start_usec = process->id.start_usec;
	return true;
}

static struct subject resolve(const struct module *module, struct fb_event *event)
{
	const struct table *table = hub_table(module->hub);
	struct subject subject = { .process = table_find(table, event->pid) };

	if (subject.process && EVENT_HAS(event, start_usec) &&
	    !adopt_known_start(subject.process, &event->start_usec))
		subject.process = NULL;
	if (!EVENT_HAS(event, ppid) || event->ppid == event->pid)
		return subject;
	subject.parent = table_find(table, event->ppid);
	if (subject.parent && EVENT_HAS(event, parent_start_usec))
		(void)adopt_known_start(subject.parent, &event->parent_start_usec);
	return subject;
}

/* The process that has the fields that the record leaves out: after a fork the parent, because the child is not known yet. */
static const struct process *process_or_parent(const struct subject *subject, const struct fb_event *event)
{
	return subject->process || event->type != EVENT_FORK ? subject->process : subject->parent;
}

/* Its cgroup */

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
static void unplace(struct module *module, const struct process *process, const struct fb_event *event)
{
	module->stats.unplaced++;
	if (process && !fb_event_is_thread(event))
		hub_forget(module->hub, process, PLACE);
}

/* Fill in cgroup and unit. Return: MODULE_HOLD during the search for the path. */
static enum module_answer place(struct module *module, const struct subject *subject, struct fb_event *event,
				uint64_t seq)
{
	const struct process *process = process_or_parent(subject, event);
	struct event_text path;
	int r;

	if (process && !(process->has & EVENT_BIT(cgroup)))
		process = NULL;
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

/* Other fields */

/* The record has no terminal or no login: the values in the table are no longer valid. */
static void forget_what_ended(const struct module *module, const struct process *process,
			      const struct module_record *record)
{
	const struct fb_event *event = &record->event;
	field_set fields = 0;

	if (!process || fb_event_is_thread(event))
		return;
	if (record->has_tty && record->tty == 0)
		fields |= EVENT_BIT(tty);
	if (!EVENT_HAS(event, login_uid))
		fields |= EVENT_BIT(login_uid);
	hub_forget(module->hub, process, fields);
}

static void set_tty(struct module *module, const struct subject *subject, struct module_record *record)
{
	struct fb_event *event = &record->event;
	const struct process *process = process_or_parent(subject, event);

	if (record->has_tty && record->tty != 0)
		EVENT_SET(event, tty,
			  ((struct event_text){ module->tty, procfs_print_tty(module->tty, record->tty) }));
	if (record->has_tty)
		return;
	if (process && event->type != EVENT_SESSION)
		process_describe(process, event, EVENT_BIT(tty));
}

static void describe(struct module *module, const struct subject *subject, struct module_record *record)
{
	struct fb_event *event = &record->event;
	field_set fields = ~OF_RECORD;

	EVENT_SET(event, time_usec, clocks_real_usec(&module->clocks, record->nsec));
	EVENT_SET(event, instance, module->stream.instance);
	forget_what_ended(module, subject->process, record);
	set_tty(module, subject, record);
	/* An exit has the path of the program that ran. */
	if (event->type == EVENT_EXIT && !fb_event_is_thread(event))
		fields |= EVENT_BIT(exe);
	if (EVENT_HAS(event, ppid))
		fields &= ~EVENT_BIT(parent_start_usec);
	subject_describe(subject->process, event, fields);
}

enum module_answer module_publish(void *userdata, struct module_record *record)
{
	struct module *module = userdata;
	struct fb_event *event = &record->event;
	struct subject subject;

	if (!is_wanted(module, event))
		return MODULE_TAKEN;
	if (was_published(&module->seam, event)) {
		module->stats.published_before++;
		return MODULE_TAKEN;
	}
	subject = resolve(module, event);
	/* A scan has already reported its end. */
	if (event->type == EVENT_EXIT && !fb_event_is_thread(event) &&
	    resync_has_ended(module->resync, event)) {
		module->stats.published_before++;
		return MODULE_TAKEN;
	}
	if (place(module, &subject, event, record->seq) == MODULE_HOLD)
		return MODULE_HOLD;
	describe(module, &subject, record);
	if (event->type == EVENT_EXIT)
		resync_note_exit(module->resync, event);
	module_set_origin(module, record->seq);
	hub_publish(module->hub, event);
	if (event->type == EVENT_FORK && !fb_event_is_thread(event))
		subject_inherit_exe(module->hub, subject.parent, event);
	return MODULE_TAKEN;
}

void module_publish_gone(void *userdata, uint32_t pid, uint64_t nsec)
{
	struct module *module = userdata;
	uint64_t boot_nsec = clocks_boot_nsec(&module->clocks, nsec);
	struct fb_event event;

	fb_event_init(&event, EVENT_EXIT);
	EVENT_SET(&event, boot_usec, boot_nsec / NSEC_PER_USEC);
	EVENT_SET(&event, time_usec, clocks_real_usec(&module->clocks, boot_nsec));
	EVENT_SET(&event, pid, pid);
	subject_describe(table_find(hub_table(module->hub), pid), &event, FIELDS_ALL);
	if (EVENT_HAS(&event, start_usec) && event.boot_usec >= event.start_usec)
		EVENT_SET(&event, elapsed_usec, event.boot_usec - event.start_usec);
	resync_note_exit(module->resync, &event);
	hub_publish(module->hub, &event);
}

void module_publish_lost(void *userdata, const struct module_gap *gap)
{
	static const struct {
		const char *reason, *detail;
	} losses[] = {
		[MODULE_LOST_KERNEL] = { "kernel", "the ring of the kernel module was full" },
		[MODULE_LOST_NETLINK] = { "netlink", "the socket was full, and the ring of the kernel module "
						     "has gone on" },
		[MODULE_LOST_UNARMED] = { "unarmed", "the broker was not running" },
	};
	struct module *module = userdata;
	const char *detail = losses[gap->loss].detail;

	if (gap->loss == MODULE_LOST_UNARMED && gap->count == HUB_COUNT_UNKNOWN)
		detail = "for a while no program listened to the kernel module";
	resync_want(module->resync);
	module_set_origin(module, gap->seq);
	hub_lost(module->hub, losses[gap->loss].reason, gap->count,
		 gap->since_nsec ? clocks_real_usec(&module->clocks, gap->since_nsec) : 0,
		 gap->until_nsec ? clocks_real_usec(&module->clocks, gap->until_nsec) : 0, detail);
}
