// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/fold.h"
#include "hub.h"

_Static_assert(VIEW_THREADS == HUB_ARMED_THREADS, "what views want is armed");

struct hub {
	struct log *log;	     /* owned */
	struct table *table;	     /* owned */
	struct lineage *lineage;     /* of the table */
	struct labels *labels;	     /* owned */
	struct views *views;	     /* owned */
	struct fold *fold;	     /* owned; NULL: every event is published at once */
	const struct owners *owners; /* for @fold; NULL: every uid is its own */
	struct hub_stats stats;
	struct arming arming;

	/* Arguments of the last hub_source_changed(). */
	char source[32];
	char source_detail[EVENT_TEXT_MAX + 1];
	uint64_t source_since_usec;

	struct hub_origin origin; /* of the source */
	struct hub_origin resume; /* of the source at the end of the reopened log */

	/* Arguments of hub_begin_outage(). */
	bool outage;
	uint64_t outage_since_usec;
	const char *outage_reason;
	const char *outage_detail;

	const struct hub_ops *ops; /* NULL: none */
	void *userdata;
};

DEFINE_CLEANUP(struct hub, hub_free)

int hub_new(struct hub **ret, struct log *log, size_t cache_size)
{
	_cleanup_(hub_free_p) struct hub *hub = calloc(1, sizeof(*hub));
	int r;

	if (!hub)
		return -ENOMEM;
	arming_init(&hub->arming);
	r = table_new(&hub->table);
	if (r == 0) {
		hub->lineage = table_lineage(hub->table);
		r = labels_new(&hub->labels, hub->lineage);
	}
	if (r == 0)
		r = views_new(&hub->views, log, hub->labels, cache_size);
	if (r < 0)
		return r;
	hub->log = log;
	*ret = steal(hub);
	return 0;
}

void hub_set_ops(struct hub *hub, const struct hub_ops *ops, void *userdata)
{
	hub->ops = ops;
	hub->userdata = userdata;
}

struct log *hub_log(const struct hub *hub)
{
	return hub->log;
}

const struct table *hub_table(const struct hub *hub)
{
	return hub->table;
}

struct labels *hub_labels(const struct hub *hub)
{
	return hub->labels;
}

int hub_get_label(struct hub *hub, struct label **ret, struct process_id root)
{
	const struct process *process = table_find(hub->table, root.pid);

	if (process && event_start_means(process->id.start_usec, root.start_usec))
		return label_get(ret, hub->labels, process->id, process->line, log_next(hub->log));
	return label_get(ret, hub->labels, root, NULL, log_next(hub->log));
}

struct views *hub_views(const struct hub *hub)
{
	return hub->views;
}

const struct hub_stats *hub_stats(const struct hub *hub)
{
	return &hub->stats;
}

/* Find the last record of the module, unless another source has reported events since. */
static void note_origin(struct hub *hub, const struct fb_event *event)
{
	if (event->type == EVENT_SOURCE && !EVENT_HAS(event, instance))
		hub->resume = (struct hub_origin){};
	if (EVENT_HAS(event, instance) && EVENT_HAS(event, kernel_seq) && EVENT_HAS(event, boot_usec))
		hub->resume = (struct hub_origin){ event->instance, event->kernel_seq, event->boot_usec };
}

int hub_restore(struct hub *hub)
{
	struct log_place place;
	struct fb_event event;
	int r = 0;

	if (log_seek(hub->log, log_first(hub->log), &place) != 0)
		return 0;
	while (r == 0 && log_read(hub->log, &place, &event) == 0) {
		note_origin(hub, &event);
		r = table_apply(hub->table, &event);
	}
	return r;
}

/* The table has the process of this event, perhaps since now. */
static void meet_label(struct hub *hub, const struct fb_event *event)
{
	struct line *line = hub->lineage->n_awaiting > 0 ? table_line(hub->table, event) : NULL;

	if (line && event->type != EVENT_EXIT && EVENT_HAS(event, start_usec))
		labels_meet(hub->labels, (struct process_id){ event->pid, event->start_usec }, line);
}

static uint32_t number_of(struct hub *hub, const struct fb_event *event)
{
	struct line *line = table_line(hub->table, event);
	uint32_t number = labels_number(hub->labels, line, event->seq, log_first(hub->log));
	struct process_id id = { event->pid, event->start_usec };

	if (!EVENT_HAS(event, pid) || !EVENT_HAS(event, start_usec))
		return number;
	if (!line && fb_event_is_thread(event))
		return labels_number_of_ended(hub->labels, id, event->seq);
	if (number != 0 && event->type == EVENT_EXIT && !fb_event_is_thread(event))
		labels_note_end(hub->labels, id, number);
	return number;
}

static void set_label(struct hub *hub, struct fb_event *event)
{
	uint32_t number;

	EVENT_CLEAR(event, label);
	meet_label(hub, event);
	if (hub->lineage->n_marks == 0)
		return;
	number = number_of(hub, event);
	if (number != 0)
		EVENT_SET(event, label, number);
}

/* The table has it already. */
static void append(struct hub *hub, struct fb_event *event)
{
	log_append(hub->log, event);
	hub->stats.events[event->type]++;
	views_dispatch(hub->views, event);
}

static void publish(struct hub *hub, struct fb_event *event)
{
	set_label(hub, event);
	append(hub, event);
}

/* Publish the events of a task that were kept. */
static void unfold(struct hub *hub, uint32_t task)
{
	struct fb_event event;

	while (fold_pop(hub->fold, task, &event)) {
		EVENT_SET(&event, seq, log_next(hub->log));
		/* Its place in the source is not that of the events around it. */
		EVENT_CLEAR(&event, instance);
		EVENT_CLEAR(&event, kernel_seq);
		if (EVENT_HAS(&event, folded))
			hub->stats.folded += event.folded;
		publish(hub, &event);
	}
}

/* Who made it, or UINT32_MAX. */
static uint32_t uid_of(const struct fb_event *event)
{
	if (event->type == EVENT_ID && EVENT_HAS(event, old_uid))
		return event->old_uid;
	return EVENT_HAS(event, uid) ? event->uid : UINT32_MAX;
}

static bool is_limited(const struct fb_event *event)
{
	return (EVENT_TYPE_BIT(event->type) & FOLD_TYPES) && uid_of(event) != 0;
}

/* Return: whether the event is kept, to be published later. */
static bool fold(struct hub *hub, const struct fb_event *event)
{
	uint32_t uid = uid_of(event), due;

	if (!fold_take(hub->fold, hub->owners ? owners_find(hub->owners, uid) : uid, event, &due))
		return false;
	unfold(hub, due);
	return true;
}

/* Before another event of a task, those of it that were kept. */
static void unfold_before(struct hub *hub, const struct fb_event *event)
{
	if (EVENT_HAS(event, pid))
		unfold(hub, fold_task(event));
	if (event->type == EVENT_FORK && EVENT_HAS(event, ppid))
		unfold(hub, event->ppid);
}

/* Return: whether the event is kept. If not, for lack of memory, those that were kept come before it. */
static bool keep_limited(struct hub *hub, struct fb_event *event)
{
	if (fold(hub, event))
		return true;
	if (fold_waits(hub->fold)) {
		unfold_before(hub, event);
		EVENT_SET(event, seq, log_next(hub->log));
	}
	return false;
}

void hub_publish(struct hub *hub, struct fb_event *event)
{
	bool limited = hub->fold && is_limited(event);

	if (hub->fold && !limited && fold_waits(hub->fold))
		unfold_before(hub, event);
	EVENT_SET(event, seq, log_next(hub->log));
	table_mark(hub->table, event);
	/* Without memory for a process, it is only missing from snapshots and trees; its events are in the log. */
	(void)table_apply(hub->table, event);
	if (limited && keep_limited(hub, event))
		return;
	publish(hub, event);
}

void hub_publish_uncertain(struct hub *hub, struct fb_event *event)
{
	if (hub->fold && fold_waits(hub->fold))
		unfold_before(hub, event);
	EVENT_SET(event, seq, log_next(hub->log));
	EVENT_CLEAR(event, label);
	append(hub, event);
}

int hub_begin_fold(struct hub *hub, const struct owners *owners)
{
	hub->owners = owners;
	return hub->fold ? 0 : fold_new(&hub->fold);
}

void hub_unfold_at(struct hub *hub, uint64_t boot_usec)
{
	uint32_t task;

	while (hub->fold && (task = fold_due(hub->fold, boot_usec)))
		unfold(hub, task);
}

void hub_unfold(struct hub *hub)
{
	hub_unfold_at(hub, clock_usec(CLOCK_BOOTTIME));
	hub_flush(hub);
}

/* At the end nobody reads any more, but the log stays. */
static void unfold_all(struct hub *hub)
{
	while (hub->fold && fold_waits(hub->fold))
		unfold(hub, fold_any(hub->fold));
}

struct hub *hub_free(struct hub *hub)
{
	if (!hub)
		return NULL;
	unfold_all(hub);
	fold_free(hub->fold);
	views_free(hub->views);
	labels_free(hub->labels);
	table_free(hub->table);
	log_free(hub->log);
	free(hub);
	return NULL;
}

int hub_learn(struct hub *hub, const struct fb_event *event)
{
	int r = table_apply(hub->table, event);

	meet_label(hub, event);
	return r;
}

void hub_forget(struct hub *hub, const struct process *process, field_set fields)
{
	table_forget(hub->table, process, fields);
}

void hub_flush(struct hub *hub)
{
	log_show(hub->log);
	views_flush(hub->views);
	hub_wake(hub);
	if (hub->fold && fold_waits(hub->fold) && hub->ops && hub->ops->unfold)
		hub->ops->unfold(hub->userdata, FOLD_USEC);
}

void hub_wake(struct hub *hub)
{
	uint64_t early_usec = log_wake(hub->log, clock_usec(CLOCK_MONOTONIC));

	if (early_usec > 0 && hub->ops && hub->ops->early)
		hub->ops->early(hub->userdata, early_usec);
}

static void set_origin(const struct hub *hub, struct fb_event *event)
{
	if (!hub->origin.instance)
		return;
	EVENT_SET(event, instance, hub->origin.instance);
	EVENT_SET(event, kernel_seq, hub->origin.kernel_seq);
}

static void set_now(struct fb_event *event)
{
	EVENT_SET(event, time_usec, clock_usec(CLOCK_REALTIME));
	EVENT_SET(event, boot_usec, clock_usec(CLOCK_BOOTTIME));
}

static void publish_lost(struct hub *hub, const char *reason, uint64_t count, uint64_t since_usec,
			 uint64_t until_usec, const char *detail)
{
	struct hub_loss *loss = strcmp(reason, "kernel") == 0	 ? &hub->stats.kernel
				: strcmp(reason, "netlink") == 0 ? &hub->stats.netlink
				: strcmp(reason, "unarmed") == 0 ? &hub->stats.unarmed
								 : &hub->stats.source;
	struct fb_event event;

	fb_event_init(&event, EVENT_LOST);
	set_now(&event);
	set_origin(hub, &event);
	EVENT_SET(&event, reason, event_text(reason));
	loss->times++;
	if (count != HUB_COUNT_UNKNOWN) {
		EVENT_SET(&event, count, count);
		loss->count += count;
	}
	if (since_usec)
		EVENT_SET(&event, since_usec, since_usec);
	if (until_usec)
		EVENT_SET(&event, until_usec, until_usec);
	if (detail)
		EVENT_SET(&event, detail, event_text(detail));
	hub_publish(hub, &event);
}

void hub_lost(struct hub *hub, const char *reason, uint64_t count, uint64_t since_usec, uint64_t until_usec,
	      const char *detail)
{
	table_doubt(hub->table);
	publish_lost(hub, reason, count, since_usec, until_usec, detail);
}

void hub_note_slow(struct hub *hub, uint64_t count)
{
	hub->stats.slow.times++;
	if (count != HUB_COUNT_UNKNOWN)
		hub->stats.slow.count += count;
}

field_set hub_find_process(const struct hub *hub, uint32_t pid, struct visibility visibility,
			   struct fb_event *event)
{
	const struct process *process = table_find(hub->table, pid);

	if (!process)
		return 0;
	table_describe(hub->table, process, event);
	return access_fields(visibility, event);
}

const char *hub_armed_print(const struct hub *hub, char buf[static EVENT_TEXT_MAX])
{
	return arming_print(&hub->arming, buf);
}

/* @from may be @to. */
static void keep(char *to, size_t size, const char *from)
{
	if (from != to)
		snprintf(to, size, "%s", from ? from : "");
}

/* The doubt began with the outage, and the first scan of the source may have ended it. */
static void outage_end(struct hub *hub)
{
	hub->outage = false;
	publish_lost(hub, hub->outage_reason ? hub->outage_reason : "unarmed", HUB_COUNT_UNKNOWN,
		     hub->outage_since_usec, clock_usec(CLOCK_REALTIME),
		     hub->outage_detail ? hub->outage_detail : "the broker was not running");
}

void hub_source_changed(struct hub *hub, const char *source, const char *reason, const char *detail)
{
	char armed[EVENT_TEXT_MAX];
	struct fb_event event;

	if (hub->outage && hub->arming.armed)
		outage_end(hub);
	keep(hub->source, sizeof(hub->source), source);
	keep(hub->source_detail, sizeof(hub->source_detail), detail);
	fb_event_init(&event, EVENT_SOURCE);
	set_now(&event);
	set_origin(hub, &event);
	hub->source_since_usec = event.time_usec;
	EVENT_SET(&event, source, event_text(source));
	EVENT_SET(&event, armed, event_text(hub_armed_print(hub, armed)));
	EVENT_SET(&event, reason, event_text(reason));
	if (hub->source_detail[0] != '\0')
		EVENT_SET(&event, detail, event_text(hub->source_detail));
	hub_publish(hub, &event);
}

const char *hub_source(const struct hub *hub)
{
	return hub->source;
}

const char *hub_source_detail(const struct hub *hub)
{
	return hub->source_detail;
}

uint64_t hub_source_since(const struct hub *hub)
{
	return hub->source_since_usec;
}

void hub_set_origin(struct hub *hub, const struct hub_origin *origin)
{
	hub->origin = *origin;
}

struct hub_origin hub_take_resume(struct hub *hub)
{
	struct hub_origin resume = hub->resume;

	hub->resume = (struct hub_origin){};
	return resume;
}

void hub_begin_outage(struct hub *hub, const char *reason, const char *detail, uint64_t since_usec)
{
	table_doubt(hub->table);
	hub->outage = true;
	hub->outage_reason = reason;
	hub->outage_detail = detail;
	hub->outage_since_usec = since_usec;
}

void hub_cancel_outage(struct hub *hub)
{
	hub->outage = false;
}

bool hub_has_outage(const struct hub *hub)
{
	return hub->outage;
}

uint32_t hub_armed(const struct hub *hub)
{
	return hub->arming.armed;
}

void hub_set_supported(struct hub *hub, uint32_t supported)
{
	arming_set_supported(&hub->arming, supported, views_wanted(hub->views));
}

void hub_rearm_at(struct hub *hub, uint64_t now_usec)
{
	bool later = hub->ops && hub->ops->rearm;
	uint64_t wait_usec;
	bool changed = arming_update(&hub->arming, views_wanted(hub->views), later, now_usec, &wait_usec);

	if (wait_usec > 0)
		hub->ops->rearm(hub->userdata, wait_usec);
	if (changed && hub->ops && hub->ops->armed)
		hub->ops->armed(hub->userdata);
}

void hub_rearm(struct hub *hub)
{
	hub_rearm_at(hub, clock_usec(CLOCK_MONOTONIC));
}

void hub_set_wanted(struct hub *hub, uint32_t wanted)
{
	hub->arming.wanted = wanted;
	hub_rearm(hub);
}
