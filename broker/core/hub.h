/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The centre of the broker: it writes the events that a source publishes to the log and to the table of processes, and
 * passes them to the views that match.
 */

#include "base/clock.h"
#include "core/arming.h"
#include "core/label.h"
#include "event.h"
#include "log.h"
#include "owners.h"
#include "process-id.h"
#include "table.h"
#include "view.h"

struct hub;

struct hub_stats {
	uint64_t events[_EVENT_TYPE_MAX]; /* published by type */
	uint64_t folded;		  /* not published, since one owner made too many (core/fold.h) */
	/* lost events by reason: their number, and the sum of the known counts */
	struct hub_loss {
		uint64_t times, count;
	} kernel, netlink, unarmed, source, slow; /* slow, expired and epoch: losses of single subscribers */
};

/* A position in a source that numbers its events: the log has all events up to it. */
struct hub_origin {
	uint64_t instance, kernel_seq; /* 0: the source has no numbers */
	uint64_t boot_usec;	       /* of that event */
};

/* The functions that the hub calls. Members may be NULL. */
struct hub_ops {
	/*
	 * hub_armed() has changed, and the source should arm these types. May publish, but must not flush: a subscriber may
	 * be about to leave, perhaps during a flush.
	 */
	void (*armed)(void *userdata);
	/* Call hub_wake() in @usec. If a call is already due, that one is enough. */
	void (*early)(void *userdata, uint64_t usec);
	/* Call hub_unfold() in @usec. If a call is already due, that one is enough. */
	void (*unfold)(void *userdata, uint64_t usec);
	/* Call hub_rearm() in @usec; replaces an earlier request. NULL: types are disarmed at once. */
	void (*rearm)(void *userdata, uint64_t usec);
};

/* hub_new() - @log becomes the hub's own, on success only; @cache_size: bytes for encoded events */
int hub_new(struct hub **ret, struct log *log, size_t cache_size);
struct hub *hub_free(struct hub *hub);

/* hub_set_ops() - @ops: static, or NULL for none */
void hub_set_ops(struct hub *hub, const struct hub_ops *ops, void *userdata);

/* The parts of the hub. Sources change the table only by hub_publish(), hub_learn() and hub_forget(). */
struct log *hub_log(const struct hub *hub);
const struct table *hub_table(const struct hub *hub);
struct views *hub_views(const struct hub *hub);
struct labels *hub_labels(const struct hub *hub);
const struct hub_stats *hub_stats(const struct hub *hub);

/* hub_get_label() - the label of a process and its descendants, to be put by label_put(). Return: 0 or -ENOMEM. */
int hub_get_label(struct hub *hub, struct label **ret, struct process_id root);

/*
 * hub_restore() - fill the table from a reopened log
 * A scan of /proc then finds which of these processes still live, and they keep the start times that were published before.
 * Also finds where a source with numbers may continue (hub_take_resume()). Return: 0 or -ENOMEM.
 */
int hub_restore(struct hub *hub);

/*
 * hub_publish() - one event from a source
 * Sets its seq, if it is published now; keeps only copies. Subscribers are woken by hub_flush(), so that a batch is sent in one
 * piece.
 */
void hub_publish(struct hub *hub, struct fb_event *event);
/* hub_publish_uncertain() - the same for an event that may be of another process than the one in the table with its pid */
void hub_publish_uncertain(struct hub *hub, struct fb_event *event);

/*
 * hub_begin_fold() - from now on, limit what one owner can write to the log by events that are cheap to make (core/fold.h)
 * @owners: must outlive the hub; NULL: each uid is its own. Return: 0 or -ENOMEM.
 */
int hub_begin_fold(struct hub *hub, const struct owners *owners);

/* hub_unfold() - publish events that were kept, as far as their owners may make some again, and flush */
void hub_unfold(struct hub *hub);
/* The same at a given time, without the flush. @boot_usec: CLOCK_BOOTTIME */
void hub_unfold_at(struct hub *hub, uint64_t boot_usec);

/*
 * hub_learn() - add the data of a living process from /proc to the table, without an event
 * Return: 0 or -ENOMEM: then the process is only missing from the table.
 */
int hub_learn(struct hub *hub, const struct fb_event *event);

/* hub_forget() - remove these fields of a process from the table, without an event */
void hub_forget(struct hub *hub, const struct process *process, field_set fields);

/* hub_flush() - the end of a batch: wake the subscribers that have something new */
void hub_flush(struct hub *hub);

/* hub_wake() - wake the readers of the mapped log, unless that is too early; a part of hub_flush() */
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

/* hub_note_slow() - one subscriber lost @count events, or HUB_COUNT_UNKNOWN */
void hub_note_slow(struct hub *hub, uint64_t count);

/*
 * hub_find_process() - find a living process, as a process event
 * @event: its texts are valid until the next event. Return: the fields that may be seen; 0: there is no such process, or it
 * may not be seen.
 */
field_set hub_find_process(const struct hub *hub, uint32_t pid, struct visibility visibility,
			   struct fb_event *event);

/*
 * hub_source_changed() - publish which source reports events from now on, what it arms, and why it changed
 * @detail: NULL or "", or a text for people; may be hub_source_detail().
 * The source must already receive events, so that there is no gap after the outage. If nothing is armed, the outage continues.
 */
void hub_source_changed(struct hub *hub, const char *source, const char *reason, const char *detail);

/* The values that hub_source_changed() published last: name, text for people ("" if none), and time (CLOCK_REALTIME, µs). */
const char *hub_source(const struct hub *hub);
const char *hub_source_detail(const struct hub *hub);
uint64_t hub_source_since(const struct hub *hub);

/* hub_set_origin() - the position of the source, for its source and lost events; all zero: it has no numbers */
void hub_set_origin(struct hub *hub, const struct hub_origin *origin);

/*
 * hub_take_resume() - the position of the source at the end of the reopened log
 * All zero the second time: another start does not continue the same log.
 */
struct hub_origin hub_take_resume(struct hub *hub);

/*
 * hub_begin_outage() - no source reports events from @since_usec (CLOCK_REALTIME, 0 where not known) on
 * Published as lost when the next source starts. @reason, @detail: as for hub_lost(), static; both NULL: the broker was not
 * running.
 */
void hub_begin_outage(struct hub *hub, const char *reason, const char *detail, uint64_t since_usec);
/* hub_cancel_outage() - the source still has all events since: nothing was lost */
void hub_cancel_outage(struct hub *hub);
bool hub_has_outage(const struct hub *hub);

/* A mask of event types, and HUB_ARMED_THREADS: what the source should report now (core/arming.h). */
uint32_t hub_armed(const struct hub *hub);

/* The armed types as words, separated by spaces, as in source events. Return: @buf. */
const char *hub_armed_print(const struct hub *hub, char buf[static EVENT_TEXT_MAX]);

/* hub_set_supported() - set the types that the source can report, before it starts or while it runs; calls no op */
void hub_set_supported(struct hub *hub, uint32_t supported);

/* hub_set_wanted() - types of HUB_ARMED_EXTRA that are wanted even without a subscriber */
void hub_set_wanted(struct hub *hub, uint32_t wanted);

/* hub_rearm() - update the armed types after a subscriber was added or removed; calls hub_ops.armed if they changed */
void hub_rearm(struct hub *hub);
/* The same at a given time. @now_usec: CLOCK_MONOTONIC */
void hub_rearm_at(struct hub *hub, uint64_t now_usec);
