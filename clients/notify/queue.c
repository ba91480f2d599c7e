// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "base/clock.h"
#include "queue.h"

void queue_init(struct queue *queue, unsigned int n)
{
	memset(queue, 0, sizeof(*queue));
	queue->n = n;
}

static void place_clear(struct queue_place *place)
{
	memset(place, 0, sizeof(*place));
}

static bool place_is_free(const struct queue *queue, const struct queue_place *place, uint64_t now)
{
	if (!place->used)
		return true;
	return !queue->reports_closed && !place->pending && !place->sent &&
	       now >= place->sent_usec + QUEUE_STALE_USEC;
}

/* A notification that is on the screen is replaced, and keeps its id. */
static void place_begin(struct queue_place *place)
{
	place->used = true;
	place->parts = 0;
	place->tally = (struct tally){};
}

static void place_add(struct queue_place *place, const struct notice *notice, const struct tally *tally)
{
	if (place->parts++ == 0)
		place->notice = *notice;
	if (tally)
		tally_merge(&place->tally, tally);
	else
		tally_add(&place->tally, notice);
	place->pending = true;
}

void queue_add(struct queue *queue, const struct notice *notice, const struct tally *tally, uint64_t now)
{
	struct queue_place *last = &queue->places[queue->n - 1];

	for (unsigned int i = 0; i < queue->n; i++) {
		struct queue_place *place = &queue->places[i];

		if (!place_is_free(queue, place, now))
			continue;
		place_begin(place);
		place_add(place, notice, tally);
		return;
	}
	place_add(last, notice, tally);
}

/* Add all notices of one place to another. */
static void place_move(struct queue_place *to, const struct queue_place *from)
{
	if (!to->used)
		place_begin(to);
	place_add(to, &from->notice, &from->tally);
}

void queue_resize(struct queue *queue, unsigned int n)
{
	unsigned int before = queue->n;

	if (n == before)
		return;
	queue->n = n;
	/* The last place may combine many notices: it stays the last, and keeps its notification on the screen. */
	if (n > before) {
		queue->places[n - 1] = queue->places[before - 1];
		place_clear(&queue->places[before - 1]);
		return;
	}
	for (unsigned int i = n - 1; i < before - 1; i++) {
		if (queue->places[i].pending || queue->places[i].sent)
			place_move(&queue->places[before - 1], &queue->places[i]);
	}
	queue->places[n - 1] = queue->places[before - 1];
	for (unsigned int i = n; i < before; i++)
		place_clear(&queue->places[i]);
}

int queue_next(const struct queue *queue, uint64_t now, uint64_t *when)
{
	*when = UINT64_MAX;
	for (unsigned int i = 0; i < queue->n; i++) {
		const struct queue_place *place = &queue->places[i];
		uint64_t due = place->id ? place->sent_usec + QUEUE_UPDATE_USEC : 0;

		if (!place->used || !place->pending || place->sent)
			continue;
		if (due <= now)
			return (int)i;
		if (due < *when)
			*when = due;
	}
	return -1;
}

void queue_describe(const struct queue *queue, unsigned int place, struct notice *notice)
{
	const struct queue_place *at = &queue->places[place];

	if (at->parts == 1)
		*notice = at->notice;
	else
		tally_describe(&at->tally, notice, "");
}

void queue_sent(struct queue *queue, unsigned int place, uint64_t call, uint64_t now)
{
	queue->places[place].pending = false;
	queue->places[place].sent = call;
	queue->places[place].sent_usec = now;
}

static struct queue_place *find_call(struct queue *queue, uint64_t call)
{
	for (unsigned int i = 0; i < queue->n; i++)
		if (queue->places[i].used && queue->places[i].sent == call)
			return &queue->places[i];
	return NULL;
}

void queue_shown(struct queue *queue, uint64_t call, uint32_t id)
{
	struct queue_place *place = find_call(queue, call);

	if (!place)
		return;
	place->sent = 0;
	place->id = id;
}

void queue_refused(struct queue *queue, uint64_t call)
{
	struct queue_place *place = find_call(queue, call);

	if (!place)
		return;
	place->sent = 0;
	place->id = 0;
	if (!place->pending)
		place_clear(place);
}

void queue_closed(struct queue *queue, uint32_t id)
{
	for (unsigned int i = 0; i < queue->n; i++) {
		struct queue_place *place = &queue->places[i];

		if (!place->used || place->id != id || id == 0)
			continue;
		queue->reports_closed = true;
		place->id = 0;
		if (!place->pending && !place->sent)
			place_clear(place);
	}
}

void queue_reset(struct queue *queue)
{
	queue->reports_closed = false;
	for (unsigned int i = 0; i < ON_SCREEN_MAX; i++) {
		struct queue_place *place = &queue->places[i];

		place->pending = place->pending || place->sent;
		place->sent = 0;
		place->id = 0;
		if (!place->pending)
			place_clear(place);
	}
}

static void quiet_release(struct quiet *quiet)
{
	struct notice notice = quiet->notice;
	struct tally tally = quiet->tally;

	quiet->tally = (struct tally){};
	if (tally.total > 1)
		tally_describe(&tally, &notice, "In quiet hours: ");
	quiet->release(&notice, &tally, quiet->userdata);
}

void quiet_update(struct quiet *quiet)
{
	time_t now = time(NULL);
	struct tm local;

	if (quiet->tally.total == 0)
		return;
	localtime_r(&now, &local);
	if (!hours_contain(quiet->hours, &local)) {
		quiet_release(quiet);
		return;
	}
	(void)sd_event_source_set_time(quiet->timer, (uint64_t)hours_end(quiet->hours, now) * USEC_PER_SEC);
	(void)sd_event_source_set_enabled(quiet->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source, (void)usec;
	quiet_update(userdata);
	return 0;
}

int quiet_init(struct quiet *quiet, sd_event *event)
{
	int r = sd_event_add_time(event, &quiet->timer, CLOCK_REALTIME, 0, USEC_PER_SEC, on_timer, quiet);

	return r < 0 ? r : sd_event_source_set_enabled(quiet->timer, SD_EVENT_OFF);
}

void quiet_done(struct quiet *quiet)
{
	quiet->timer = sd_event_source_disable_unref(quiet->timer);
}

void quiet_add(struct quiet *quiet, const struct notice *notice)
{
	if (quiet->tally.total == 0)
		quiet->notice = *notice;
	tally_add(&quiet->tally, notice);
	quiet_update(quiet);
}
