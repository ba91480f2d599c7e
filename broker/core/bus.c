// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "core/bus.h"
#include "util/cleanup.h"
#include "util/clock.h"

DEFINE_CLEANUP(struct bus, bus_free)

int bus_new(struct bus **ret, struct log *log, size_t cache_size)
{
	_cleanup_(bus_free_p) struct bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return -ENOMEM;
	bus->tells = bus->armed = BUS_ARMED_ALWAYS;
	r = table_new(&bus->table);
	if (r == 0)
		r = views_new(&bus->views, log, cache_size);
	if (r < 0)
		return r;
	bus->log = log;
	*ret = steal(bus);
	return 0;
}

struct bus *bus_free(struct bus *bus)
{
	if (!bus)
		return NULL;
	views_free(bus->views);
	table_free(bus->table);
	log_free(bus->log);
	free(bus);
	return NULL;
}

/* Where the module's records end, unless another source has told of the same since. */
static void note_origin(struct bus *bus, const struct fb_event *event)
{
	if (event->type == EVENT_SOURCE && !EVENT_HAS(event, instance))
		bus->resume = (struct bus_origin){};
	if (EVENT_HAS(event, instance) && EVENT_HAS(event, kernel_seq) && EVENT_HAS(event, boot_usec))
		bus->resume = (struct bus_origin){ event->instance, event->kernel_seq, event->boot_usec };
}

int bus_restore(struct bus *bus)
{
	struct log_place place;
	struct fb_event event;
	int r = 0;

	if (log_seek(bus->log, log_first(bus->log), &place) != 0)
		return 0;
	while (r == 0 && log_read(bus->log, &place, &event) == 0) {
		note_origin(bus, &event);
		r = table_apply(bus->table, &event);
	}
	return r;
}

void bus_publish(struct bus *bus, struct fb_event *event)
{
	log_append(bus->log, event);
	bus->stats.events[event->type]++;
	/* Without memory for a process, it is only missing from snapshots; its events are in the log. */
	(void)table_apply(bus->table, event);
	views_dispatch(bus->views, event);
}

void bus_flush(struct bus *bus)
{
	log_show(bus->log);
	views_flush(bus->views);
	bus_wake(bus);
}

void bus_wake(struct bus *bus)
{
	uint64_t early_usec = log_wake(bus->log, clock_usec(CLOCK_MONOTONIC));

	if (early_usec > 0 && bus->on_early)
		bus->on_early(bus->userdata, early_usec);
}

static void set_origin(const struct bus *bus, struct fb_event *event)
{
	if (!bus->origin.instance)
		return;
	EVENT_SET(event, instance, bus->origin.instance);
	EVENT_SET(event, kernel_seq, bus->origin.kernel_seq);
}

static void set_now(struct fb_event *event)
{
	EVENT_SET(event, time_usec, clock_usec(CLOCK_REALTIME));
	EVENT_SET(event, boot_usec, clock_usec(CLOCK_BOOTTIME));
}

void bus_lost(struct bus *bus, const char *reason, uint64_t count, uint64_t since_usec, uint64_t until_usec,
	      const char *detail)
{
	struct bus_loss *loss = strcmp(reason, "kernel") == 0	 ? &bus->stats.kernel
				: strcmp(reason, "netlink") == 0 ? &bus->stats.netlink
				: strcmp(reason, "unarmed") == 0 ? &bus->stats.unarmed
								 : &bus->stats.source;
	struct fb_event event;

	fb_event_init(&event, EVENT_LOST);
	set_now(&event);
	set_origin(bus, &event);
	EVENT_SET(&event, reason, event_text(reason));
	loss->times++;
	if (count != BUS_COUNT_UNKNOWN) {
		EVENT_SET(&event, count, count);
		loss->count += count;
	}
	if (since_usec)
		EVENT_SET(&event, since_usec, since_usec);
	if (until_usec)
		EVENT_SET(&event, until_usec, until_usec);
	if (detail)
		EVENT_SET(&event, detail, event_text(detail));
	bus_publish(bus, &event);
}

uint64_t bus_find_process(const struct bus *bus, uint32_t pid, struct visibility visibility,
			  struct fb_event *event)
{
	const struct process *process = table_find(bus->table, pid);

	if (!process)
		return 0;
	fb_event_init(event, EVENT_PROCESS);
	process_describe(process, event, UINT64_MAX);
	return access_fields(visibility, event);
}

const char *bus_armed_print(const struct bus *bus, char buf[static EVENT_TEXT_MAX])
{
	size_t at = 0;

	buf[0] = '\0';
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		if (bus->armed & EVENT_TYPE_BIT(type))
			at += (size_t)snprintf(buf + at, EVENT_TEXT_MAX - at, "%s%s", at ? " " : "",
					       event_type_name(type));
	if (bus->armed & BUS_ARMED_THREADS)
		snprintf(buf + at, EVENT_TEXT_MAX - at, " threads");
	return buf;
}

/* What the caller gives may be what is kept. */
static void keep(char *to, size_t size, const char *from)
{
	if (from != to)
		snprintf(to, size, "%s", from ? from : "");
}

static void outage_end(struct bus *bus)
{
	bus->outage = false;
	bus_lost(bus, bus->outage_reason ? bus->outage_reason : "unarmed", BUS_COUNT_UNKNOWN,
		 bus->outage_since_usec, clock_usec(CLOCK_REALTIME),
		 bus->outage_detail ? bus->outage_detail : "the broker was not running");
}

void bus_source_changed(struct bus *bus, const char *source, const char *reason, const char *detail)
{
	char armed[EVENT_TEXT_MAX];
	struct fb_event event;

	if (bus->outage && bus->armed)
		outage_end(bus);
	keep(bus->source, sizeof(bus->source), source);
	keep(bus->source_detail, sizeof(bus->source_detail), detail);
	fb_event_init(&event, EVENT_SOURCE);
	set_now(&event);
	set_origin(bus, &event);
	bus->source_since_usec = event.time_usec;
	EVENT_SET(&event, source, event_text(source));
	EVENT_SET(&event, armed, event_text(bus_armed_print(bus, armed)));
	EVENT_SET(&event, reason, event_text(reason));
	if (detail)
		EVENT_SET(&event, detail, event_text(detail));
	bus_publish(bus, &event);
}

static uint32_t armed_of(const struct bus *bus)
{
	uint32_t extra = EVENT_TYPE_BIT(EVENT_CHROOT) | EVENT_TYPE_BIT(EVENT_COREDUMP) |
			 EVENT_TYPE_BIT(EVENT_PTRACE) | BUS_ARMED_THREADS;

	return (BUS_ARMED_ALWAYS | (views_wanted(bus->views) & extra)) & bus->tells;
}

void bus_set_tells(struct bus *bus, uint32_t tells)
{
	bus->tells = tells;
	bus->armed = armed_of(bus);
}

void bus_rearm(struct bus *bus)
{
	uint32_t armed = armed_of(bus);

	if (armed == bus->armed)
		return;
	bus->armed = armed;
	if (bus->on_armed)
		bus->on_armed(bus->userdata);
}
