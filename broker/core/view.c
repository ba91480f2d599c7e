// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "core/hash-text.h"

#include "core/view-parts.h"

#include "base/cleanup.h"
#include "core/past.h"

/* A filter whose patterns cost more is not matched while a source publishes. */
#define COST_MAX      4
/*
 * What the views together may do with the events between two flushes while a source publishes: about 2 ms. Encoding an event
 * costs as much as to match several. The rest is left to their readers.
 */
#define OFFERS_MAX    4096
/* The part that views with patterns may use, so that something is left for those that only compare numbers and texts. */
#define PATTERNS_MAX  (OFFERS_MAX / 2)
#define OFFER_MATCHED 1
#define OFFER_PATTERN 4 /* for each unit of cost */
#define OFFER_ENCODED 4

DEFINE_CLEANUP(struct views, views_free)
DEFINE_CLEANUP(struct view, view_put)

int views_new(struct views **ret, const struct log *log, struct labels *labels, size_t cache_size)
{
	_cleanup_(views_free_p) struct views *views = calloc(1, sizeof(*views));
	int r;

	if (!views)
		return -ENOMEM;
	views->log = log;
	views->labels = labels;
	LIST_INIT(&views->dirty);
	r = chunk_pool_new(&views->pool, cache_size);
	if (r == 0)
		r = view_index_new(&views->index);
	if (r < 0)
		return r;
	*ret = steal(views);
	return 0;
}

struct views *views_free(struct views *views)
{
	if (!views)
		return NULL;
	view_index_free(views->index);
	chunk_pool_free(views->pool);
	free(views);
	return NULL;
}

const struct views_stats *views_stats(const struct views *views)
{
	return &views->stats;
}

uint32_t views_wanted(const struct views *views)
{
	uint32_t wanted = 0;

	for (unsigned int type = 0; type < _EVENT_TYPE_MAX; type++)
		if (views->n_wanting[type] > 0)
			wanted |= EVENT_TYPE_BIT(type);
	return wanted;
}

static void count_wanted(struct view *view, int by)
{
	const struct filter *filter = view->filter;
	struct views *views = view->views;
	/* A filter without types accepts all types; only types that a filter names are armed. */
	uint32_t wanted = filter->types | (filter->threads ? VIEW_THREADS : 0);

	/* Arming costs all users, so an ordinary one cannot ask for it. */
	if (!view->visibility.all)
		return;
	for (unsigned int type = 0; type < _EVENT_TYPE_MAX; type++)
		if (wanted & EVENT_TYPE_BIT(type))
			views->n_wanting[type] += (unsigned int)by;
}

static char *make_key(const struct view *view)
{
	_cleanup_free_ char *normal = filter_print(view->filter);
	char *key;

	if (!normal)
		return NULL;
	/* A label belongs to one process, whose start a filter may say less exactly. */
	if (asprintf(&key, "%s %s %u %p %s", view->encoding->name, view->visibility.all ? "all" : "uid",
		     view->visibility.uid, (const void *)view->label, normal) < 0)
		return NULL;
	return key;
}

static int enter_index(struct views *views, struct view *view)
{
	if (!view->label)
		return view_index_add(views->index, view, &view->place, view->filter, view->visibility);
	view->place.one.view = view;
	LIST_INSERT_HEAD(&view->label->views, &view->place.one, link);
	return 0;
}

static void leave_index(struct views *views, struct view *view)
{
	if (!view->label)
		view_index_remove(views->index, &view->place);
	else if (view->place.one.view)
		LIST_REMOVE(&view->place.one, link);
}

static int find_or_add(struct view **ret, struct views *views, struct view *view)
{
	struct view *equal;
	bool oom = false;
	int r;

	HASH_FIND_STR(views->by_key, view->key, equal);
	if (equal) {
		equal->references++;
		filter_free(steal(view->filter));
		view->label = label_put(views->labels, view->label);
		*ret = equal;
		return 0;
	}
	r = enter_index(views, view);
	if (r < 0)
		return r;
	HASH_ADD_KEYPTR(hh, views->by_key, view->key, strlen(view->key), view);
	if (oom)
		return -ENOMEM;
	view->references = 1;
	count_wanted(view, 1);
	views->stats.views++;
	*ret = view;
	return 0;
}

int view_get(struct view **ret, struct views *views, struct filter *filter, struct visibility visibility,
	     const struct encoding *encoding, struct label *label)
{
	_cleanup_(view_put_p) struct view *view = calloc(1, sizeof(*view));
	int r;

	if (!view)
		return -ENOMEM;
	view->views = views;
	view->encoding = encoding;
	view->visibility = visibility;
	if (visibility.all)
		view->visibility.uid = 0;
	view->since = log_next(views->log);
	view->is_dear = filter->cost > COST_MAX;
	LIST_INIT(&view->chunks);
	LIST_INIT(&view->readers);
	view->filter = filter;
	view->label = label;
	view->key = make_key(view);
	r = view->key ? find_or_add(ret, views, view) : -ENOMEM;
	if (r < 0) {
		leave_index(views, view);
		view->place = (struct view_place){ 0 };
		view->filter = NULL; /* still the caller's, as is the label */
		view->label = NULL;
	} else if (*ret == view) {
		view = NULL;
	}
	return r;
}

static void drop_chunks(struct view *view)
{
	while (!LIST_EMPTY(&view->chunks))
		chunk_drop(view->views->pool, LIST_FIRST(&view->chunks));
}

struct view *view_put(struct view *view)
{
	if (!view || (view->references > 0 && --view->references > 0))
		return NULL;
	drop_chunks(view);
	if (view->dirty)
		LIST_REMOVE(view, dirty_link);
	if (view->hh.tbl) {
		HASH_DEL(view->views->by_key, view);
		count_wanted(view, -1);
		view->views->stats.views--;
	}
	leave_index(view->views, view);
	label_put(view->views->labels, view->label);
	filter_free(view->filter);
	free(view->key);
	free(view);
	return NULL;
}

void view_join(struct view *view, struct view_reader *reader)
{
	reader->view = view;
	reader->live = false;
	reader->caught_up = UINT64_MAX;
	LIST_INSERT_HEAD(&view->readers, reader, link);
	view->n_readers++;
}

void view_leave(struct view_reader *reader)
{
	struct view *view = reader->view;

	view_set_live(reader, false);
	if (reader->caught_up == view->last)
		view->n_caught_up--;
	view->n_readers--;
	LIST_REMOVE(reader, link);
	reader->view = view_put(view);
}

void view_set_live(struct view_reader *reader, bool live)
{
	if (reader->live == live)
		return;
	reader->live = live;
	if (live)
		reader->view->n_live++;
	else
		reader->view->n_live--;
}

void view_set_caught_up(struct view_reader *reader)
{
	struct view *view = reader->view;

	view->is_behind = false;
	if (reader->caught_up == view->last)
		return;
	reader->caught_up = view->last;
	/* The other views use these chunks next, while they are in the processor's caches. */
	if (++view->n_caught_up == view->n_readers)
		drop_chunks(view);
}

/* A field that is withheld is absent for the filter, too: otherwise a match would reveal it. */
static bool match_shown(const struct view *view, const struct fb_event *event, field_set fields)
{
	struct fb_event shown;

	if (!(event->has & ~fields))
		return filter_match(view->filter, event);
	shown = *event;
	shown.has &= fields;
	return filter_match(view->filter, &shown);
}

/* The cheap tests of an event, before it is known whether its process is in the tree. */
static field_set match_cheaply(const struct view *view, const struct fb_event *event)
{
	uint32_t types = view->filter->types;

	if (types &&
	    !((types | EVENT_TYPES_ALWAYS | EVENT_TYPE_BIT(EVENT_PROCESS)) & EVENT_TYPE_BIT(event->type)))
		return 0;
	return access_fields(view->visibility, event);
}

static bool is_in_tree(const struct view *view, const struct fb_event *event)
{
	struct label *label = view->label;

	if (!label)
		return true;
	if (event->seq < label->since)
		return past_has(label->past, event->seq);
	return label_is_in(view->views->labels, label, EVENT_HAS(event, label) ? event->label : 0);
}

field_set view_match(const struct view *view, const struct fb_event *event)
{
	field_set fields = match_cheaply(view, event);

	if (fields == 0 || EVENT_TYPES_ALWAYS & EVENT_TYPE_BIT(event->type))
		return fields;
	return is_in_tree(view, event) && match_shown(view, event, fields) ? fields : 0;
}

field_set view_match_process(const struct view *view, const struct fb_event *event, struct line *line)
{
	field_set fields = match_cheaply(view, event);

	if (fields == 0 || (view->label && !label_is_on(view->views->labels, view->label, line)))
		return 0;
	return match_shown(view, event, fields) ? fields : 0;
}

/* The chunk for @event, the newest in the log. */
static struct chunk *open_chunk(struct view *view, const struct fb_event *event)
{
	struct chunk *chunk = view_find_open(view);
	/* No event between the last match and this one matched: the chunk covers these, too. */
	uint64_t first = view->last >= view->since ? view->last + 1 : view->since;

	if (chunk && chunk_is_full(chunk)) {
		chunk->open = false;
		chunk->next = event->seq;
		first = event->seq;
		chunk = NULL;
	}
	if (!chunk) {
		/* Its readers may have filled the last one to here. */
		chunk = chunk_find(&view->chunks, first);
		if (!chunk || chunk_is_full(chunk))
			chunk = chunk_take(view->views->pool, &view->chunks, first);
		chunk->open = true;
		view->open = chunk;
	}
	chunk_use(view->views->pool, chunk);
	return chunk;
}

/* Later events are in another chunk. */
static void close_open(struct view *view, const struct fb_event *event)
{
	struct chunk *chunk = view_find_open(view);

	if (!chunk)
		return;
	chunk->open = false;
	chunk->next = event->seq;
}

static void note_match(struct view *view, const struct fb_event *event)
{
	if (!view->dirty) {
		view->dirty = true;
		view->quiet_after = view->last;
		view->quiet_until = event->seq;
		LIST_INSERT_HEAD(&view->views->dirty, view, dirty_link);
	}
	view->last = event->seq;
	view->n_caught_up = 0;
}

/* Its readers have to look at the event in the log, in slices, as if they were behind. */
static void leave_to_readers(struct view *view, const struct fb_event *event)
{
	close_open(view, event);
	view->since = event->seq + 1;
	view->is_behind = true;
	note_match(view, event);
}

static bool may_offer(const struct views *views, const struct view *view)
{
	if (view->is_dear || views->offers >= OFFERS_MAX)
		return false;
	return view->filter->cost == 0 || views->pattern_offers < PATTERNS_MAX;
}

static void count_offer(struct views *views, const struct view *view, unsigned int n)
{
	views->offers += n;
	if (view->filter->cost > 0)
		views->pattern_offers += n;
}

static void offer(struct view *view, const struct fb_event *event)
{
	struct views *views = view->views;
	field_set fields;

	/* Offered already, by the other uid of an id event. */
	if (view->last == event->seq)
		return;
	/* The other events are not offered yet: its readers have to read them. */
	if (view->label && view->label->since == LABEL_NOT_BEGUN) {
		view->since = event->seq + 1;
		view->is_behind = true;
		return;
	}
	if (!may_offer(views, view)) {
		leave_to_readers(view, event);
		return;
	}
	count_offer(views, view, OFFER_MATCHED + OFFER_PATTERN * (unsigned int)view->filter->cost);
	fields = view_match(view, event);
	if (fields == 0)
		return;
	if (view->n_live > 0 && !view->is_behind) {
		count_offer(views, view, OFFER_ENCODED);
		view_encode(view, open_chunk(view, event), event, fields);
	} else {
		close_open(view, event);
	}
	note_match(view, event);
}

static void dispatch_labels(struct views *views, const struct fb_event *event)
{
	struct mark *mark = labels_find(views->labels, event->label);
	struct view_entry *entry;

	for (; mark; mark = mark_next(views->labels, mark)) {
		label_set_in(views->labels, mark->label, event->label);
		LIST_FOREACH(entry, &mark->label->views, link)
			offer(entry->view, event);
	}
}

void views_dispatch(struct views *views, const struct fb_event *event)
{
	struct view_entry_list *lists[VIEW_INDEX_LISTS];
	struct view_entry *entry;
	unsigned int n;

	if (EVENT_TYPES_ALWAYS & EVENT_TYPE_BIT(event->type)) {
		for (struct view *view = views->by_key; view; view = view->hh.next)
			offer(view, event);
		return;
	}
	n = view_index_find(views->index, event, lists);
	for (unsigned int i = 0; i < n; i++)
		LIST_FOREACH(entry, lists[i], link)
			offer(entry->view, event);
	if (EVENT_HAS(event, label))
		dispatch_labels(views, event);
}

void views_flush(struct views *views)
{
	struct view_reader *reader, *next;
	struct view *view;

	views->offers = views->pattern_offers = 0;
	while ((view = LIST_FIRST(&views->dirty))) {
		LIST_REMOVE(view, dirty_link);
		view->dirty = false;
		/* A woken reader may leave; the others stay, and so does the view while they have references. */
		view->references++;
		for (reader = LIST_FIRST(&view->readers); reader; reader = next) {
			next = LIST_NEXT(reader, link);
			reader->wake(reader);
		}
		view_put(view);
	}
}

void views_begin(const struct label *label)
{
	struct view_entry *entry;

	LIST_FOREACH(entry, &label->views, link)
		if (entry->view->since < label->since)
			entry->view->since = label->since;
}
