/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The middle of the broker: what a source publishes goes into the log, into the table, and to the views that
 * want it.
 */

#include "event.h"
#include "log.h"
#include "table.h"
#include "view.h"

/*
 * Event types that are told while the broker runs, since history and the table need them; what a filter can
 * add; and events of threads, which have no type of their own.
 */
#define BUS_ARMED_ALWAYS                                                                        \
	(EVENT_TYPE_BIT(EVENT_FORK) | EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_EXIT) | \
	 EVENT_TYPE_BIT(EVENT_ID) | EVENT_TYPE_BIT(EVENT_COMM) | EVENT_TYPE_BIT(EVENT_SESSION))
#define BUS_ARMED_THREADS EVENT_TYPE_BIT(EVENT_NONE)

struct bus_stats {
	uint64_t events[_EVENT_TYPE_MAX]; /* published by type */
	/* lost events by reason: how often told, and the sum of the counts that are known */
	struct bus_loss {
		uint64_t times, count;
	} kernel, netlink, unarmed, source, slow; /* slow: with expired and epoch, of single subscribers */
};

/* Where in a source that numbers its events: all up to there is told. */
struct bus_origin {
	uint64_t instance, kernel_seq; /* 0: the source has no numbers */
	uint64_t boot_usec;	       /* of that event */
};

struct bus {
	struct log *log;     /* owned */
	struct table *table; /* owned */
	struct views *views; /* owned */
	struct bus_stats stats;
	uint32_t tells; /* what the source can tell at all; BUS_ARMED_ALWAYS until who starts it knows */
	uint32_t armed; /* and what of it is wanted: masks of types, and BUS_ARMED_THREADS */

	/* What bus_source_changed() said last. */
	char source[32];
	char source_detail[EVENT_TEXT_MAX + 1];
	uint64_t source_since_usec;

	/* The source's, goes into source and lost events; and where it was when the log ends that was reopened. */
	struct bus_origin origin, resume;

	/* Nobody told what happened since then: told as lost when a source starts, since then somebody does. */
	bool outage;
	uint64_t outage_since_usec; /* CLOCK_REALTIME, 0 where not known */
	const char *outage_reason;  /* as in bus_lost(); NULL: the broker was not running */
	const char *outage_detail;

	/* Called when @armed changed: main passes it on to the source. May publish, must not flush: a
	 * subscriber may be just about to go, in a flush too. */
	void (*on_armed)(void *userdata);
	/* Called when it was too early to wake those who read the mapped log: main calls bus_wake() after so many µs. A
	 * call that is still to come will do. */
	void (*on_early)(void *userdata, uint64_t usec);
	void *userdata;
};

/* bus_new() - @log becomes the bus' own, on success only; @cache_size: bytes for encoded events */
int bus_new(struct bus **ret, struct log *log, size_t cache_size);
struct bus *bus_free(struct bus *bus);

/*
 * bus_restore() - fill the table with what a reopened log tells
 * The source's scan of /proc then finds who of them still lives, under the start times that were told before. Finds out
 * too where a source with numbers may go on (@resume). Return: 0 or -ENOMEM.
 */
int bus_restore(struct bus *bus);

/*
 * bus_publish() - one event from a source
 * Its seq is set; nothing is kept of it but copies. Subscribers are not told before bus_flush(), so that a
 * batch goes out in one piece.
 */
void bus_publish(struct bus *bus, struct fb_event *event);

/* bus_flush() - the end of a batch: wake the subscribers that have something new */
void bus_flush(struct bus *bus);

/* bus_wake() - wake those who read the mapped log, as far as it is time; a part of bus_flush() */
void bus_wake(struct bus *bus);

/*
 * bus_lost() - publish that events are missing
 * @reason: "kernel", "netlink", "unarmed", "source"
 * @count: how many, or BUS_COUNT_UNKNOWN
 * @since_usec, @until_usec: CLOCK_REALTIME; 0 where not known
 */
#define BUS_COUNT_UNKNOWN UINT64_MAX
void bus_lost(struct bus *bus, const char *reason, uint64_t count, uint64_t since_usec, uint64_t until_usec,
	      const char *detail);

/*
 * bus_source_changed() - publish which source tells from now on, what it arms, and why it changed
 * @detail: NULL, or a text for people; may be the bus' own.
 * A source calls it when it hears already, so that an outage ends before and nothing falls between. With nothing armed
 * nobody hears, and it goes on.
 */
void bus_source_changed(struct bus *bus, const char *source, const char *reason, const char *detail);

/*
 * bus_find_process() - a process that lives, as a process event
 * @event: its texts are valid until the next event. Return: its fields that may be seen; 0: there is none that may be.
 */
uint64_t bus_find_process(const struct bus *bus, uint32_t pid, struct visibility visibility,
			  struct fb_event *event);

/* The armed types as words, separated by spaces, as in source events. Return: @buf. */
const char *bus_armed_print(const struct bus *bus, char buf[static EVENT_TEXT_MAX]);

/* bus_set_tells() - what the source can tell, before it starts or while it does; asks nobody to arm anything */
void bus_set_tells(struct bus *bus, uint32_t tells);

/* bus_rearm() - recompute @armed after a subscriber came or went; calls @on_armed if it changed */
void bus_rearm(struct bus *bus);
