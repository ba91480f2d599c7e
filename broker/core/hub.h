/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The middle of the broker: what a source publishes goes into the log, into the table, and to the views that
 * want it.
 */

#include "event.h"
#include "log.h"
#include "process-id.h"
#include "table.h"
#include "view.h"

/*
 * Event types that are told while the broker runs, since history and the table need them; what a filter can
 * add; and events of threads, which have no type of their own.
 */
#define HUB_ARMED_ALWAYS                                                                        \
	(EVENT_TYPE_BIT(EVENT_FORK) | EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_EXIT) | \
	 EVENT_TYPE_BIT(EVENT_ID) | EVENT_TYPE_BIT(EVENT_COMM) | EVENT_TYPE_BIT(EVENT_SESSION))
#define HUB_ARMED_THREADS VIEW_THREADS

struct hub_stats {
	uint64_t events[_EVENT_TYPE_MAX]; /* published by type */
	/* lost events by reason: how often told, and the sum of the counts that are known */
	struct hub_loss {
		uint64_t times, count;
	} kernel, netlink, unarmed, source, slow; /* slow: with expired and epoch, of single subscribers */
};

/* Where in a source that numbers its events: all up to there is told. */
struct hub_origin {
	uint64_t instance, kernel_seq; /* 0: the source has no numbers */
	uint64_t boot_usec;	       /* of that event */
};

struct hub {
	struct log *log;     /* owned */
	struct table *table; /* owned */
	struct views *views; /* owned */
	struct hub_stats stats;
	uint32_t supported; /* what the source can tell at all; HUB_ARMED_ALWAYS until who starts it knows */
	uint32_t armed;	    /* and what of it is wanted: masks of types, and HUB_ARMED_THREADS */

	/* What hub_source_changed() said last. */
	char source[32];
	char source_detail[EVENT_TEXT_MAX + 1];
	uint64_t source_since_usec;

	/* The source's, goes into source and lost events; and where it was when the log ends that was reopened. */
	struct hub_origin origin, resume;

	/* Nobody told what happened since then: told as lost when a source starts, since then somebody does. */
	bool outage;
	uint64_t outage_since_usec; /* CLOCK_REALTIME, 0 where not known */
	const char *outage_reason;  /* as in hub_lost(); NULL: the broker was not running */
	const char *outage_detail;

	const struct hub_ops *ops; /* NULL: none */
	void *userdata;
};

/* hub_new() - @log becomes the hub's own, on success only; @cache_size: bytes for encoded events */
int hub_new(struct hub **ret, struct log *log, size_t cache_size);
struct hub *hub_free(struct hub *hub);

/*
 * hub_restore() - fill the table with what a reopened log tells
 * The source's scan of /proc then finds who of them still lives, under the start times that were told before. Finds out
 * too where a source with numbers may go on (hub_take_resume()). Return: 0 or -ENOMEM.
 */
int hub_restore(struct hub *hub);

/*
 * hub_publish() - one event from a source
 * Its seq is set; nothing is kept of it but copies. Subscribers are not told before hub_flush(), so that a
 * batch goes out in one piece.
 */
void hub_publish(struct hub *hub, struct fb_event *event);

/* hub_flush() - the end of a batch: wake the subscribers that have something new */
void hub_flush(struct hub *hub);

/* hub_wake() - wake those who read the mapped log, as far as it is time; a part of hub_flush() */
void hub_wake(struct hub *hub);

/*
 * hub_lost() - publish that events are missing
 * @reason: "kernel", "netlink", "unarmed", "source"
 * @count: how many, or HUB_COUNT_UNKNOWN
 * @since_usec, @until_usec: CLOCK_REALTIME; 0 where not known
 */
#define HUB_COUNT_UNKNOWN UINT64_MAX
void hub_lost(struct hub *hub, const char *reason, uint64_t count, uint64_t since_usec, uint64_t until_usec,
	      const char *detail);

/*
 * hub_source_changed() - publish which source tells from now on, what it arms, and why it changed
 * @detail: NULL, or a text for people; may be the hub's own.
 * A source calls it when it hears already, so that an outage ends before and nothing falls between. With nothing armed
 * nobody hears, and it goes on.
 */
void hub_source_changed(struct hub *hub, const char *source, const char *reason, const char *detail);

/*
 * hub_find_process() - a process that lives, as a process event
 * @event: its texts are valid until the next event. Return: its fields that may be seen; 0: there is none that may be.
 */
uint64_t hub_find_process(const struct hub *hub, uint32_t pid, struct visibility visibility,
			  struct fb_event *event);

/* The armed types as words, separated by spaces, as in source events. Return: @buf. */
const char *hub_armed_print(const struct hub *hub, char buf[static EVENT_TEXT_MAX]);

/* hub_set_supported() - what the source can tell, before it starts or while it does; asks nobody to arm anything */
void hub_set_supported(struct hub *hub, uint32_t supported);

/* hub_rearm() - recompute @armed after a subscriber came or went; calls hub_ops.armed if it changed */
void hub_rearm(struct hub *hub);

/* What the hub consists of. Sources change the table by hub_learn() alone. */
struct log *hub_log(const struct hub *hub);
const struct table *hub_table(const struct hub *hub);
struct views *hub_views(const struct hub *hub);
const struct hub_stats *hub_stats(const struct hub *hub);

/* Masks of event types, and HUB_ARMED_THREADS: what the source supports, and what of it is wanted now. */
uint32_t hub_supported(const struct hub *hub);
uint32_t hub_armed(const struct hub *hub);

/* What hub_source_changed() published last: name, text for people ("" if none), and since when (CLOCK_REALTIME, µs). */
const char *hub_source(const struct hub *hub);
const char *hub_source_detail(const struct hub *hub);
uint64_t hub_source_since(const struct hub *hub);

/*
 * hub_learn() - take what /proc says of a living process into the table, without an event
 * Return: 0 or -ENOMEM, where the process is only missing from the table.
 */
int hub_learn(struct hub *hub, const struct fb_event *event);

/* hub_note_slow() - a subscriber lost so many events; HUB_COUNT_UNKNOWN: how many is not known */
void hub_note_slow(struct hub *hub, uint64_t count);

/* hub_set_origin() - where the source is now; goes into source and lost events. All zero: it has no numbers. */
void hub_set_origin(struct hub *hub, const struct hub_origin *origin);

/*
 * hub_take_resume() - where the source was when the reopened log ended
 * All zero the second time: another start is not of the same log.
 */
struct hub_origin hub_take_resume(struct hub *hub);

/*
 * hub_begin_outage() - no source reports from @since_usec (CLOCK_REALTIME, 0 where not known) on
 * Published as lost when the next source starts. @reason, @detail: as in hub_lost(), static; NULL: the broker was not
 * running.
 */
void hub_begin_outage(struct hub *hub, const char *reason, const char *detail, uint64_t since_usec);
/* hub_cancel_outage() - the source still knows all that happened since: nothing was lost */
void hub_cancel_outage(struct hub *hub);
bool hub_has_outage(const struct hub *hub);

struct hub_ops {
	/* What is armed has changed. May publish, must not flush: a subscriber may be just about to go, in a flush too. */
	void (*armed)(void *userdata);
	/* It is too early to wake the readers of the mapped log: call hub_wake() after so many µs. One call that is still to
	 * come serves for all. */
	void (*early)(void *userdata, uint64_t usec);
};

/* hub_set_ops() - @ops: static; a member may be NULL */
void hub_set_ops(struct hub *hub, const struct hub_ops *ops, void *userdata);
