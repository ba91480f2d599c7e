// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "core/past.h"

#include "core/cover.h"
#include "core/members.h"
#include "core/slice.h"

/* Bytes by which the bits grow. */
#define BITS_PIECE 4096

#define BEGAN_UNKNOWN (UINT64_MAX / 2)

/*
 * PAST_LIVING, PAST_ENDED: the members that lived when the label began, if it has begun. PAST_NOTING, PAST_MARKING: if it has
 * not, the living ones get it, after which the log is read again as far as it has grown.
 */
enum phase { PAST_NEW, PAST_LIVING, PAST_ENDED, PAST_READING, PAST_NOTING, PAST_MARKING, PAST_COMPLETE };

LIST_HEAD(past_reader_list, past_reader);

struct past {
	struct past_reader_list readers;
	enum phase phase;
	int error; /* of this slice: the account has no room, or there is no memory */
	bool lost;
	uint64_t first;	    /* the log's oldest record when it began */
	uint64_t began;	    /* time of that record, CLOCK_BOOTTIME */
	size_t slot;	    /* PAST_LIVING: in the table; PAST_NOTING, PAST_MARKING: in the members */
	uint64_t next;	    /* PAST_ENDED, PAST_READING: the record to read */
	bool root_is_found; /* the root's own start is known */
	bool marks;	    /* PAST_READING: the living members have the label, and so do new ones */
	struct members members;
	struct cover cover;
	uint8_t *bits; /* from @first on */
	size_t size;
	struct budget_account *account; /* of one of the readers */
	size_t counted;			/* bytes taken from it */
};

int past_get(struct label *label, const struct log *log, struct past_reader *reader,
	     struct budget_account *account)
{
	struct past *past = label->past;

	if (!past) {
		past = calloc(1, sizeof(*past));
		if (!past)
			return -ENOMEM;
		LIST_INIT(&past->readers);
		past->first = log_first(log);
		label->past = past;
	}
	reader->label = label;
	reader->account = account;
	LIST_INSERT_HEAD(&past->readers, reader, link);
	return 0;
}

/* Count the memory that it has now. */
static void count(struct past *past)
{
	size_t size = past->size + members_size(&past->members);

	if (size > past->counted && budget_take(past->account, BUDGET_LABELS, size - past->counted) != 0)
		past->error = -EDQUOT;
	else if (size < past->counted)
		budget_give(past->account, BUDGET_LABELS, past->counted - size);
	if (!past->error)
		past->counted = size;
}

static void forget(struct past *past)
{
	members_done(&past->members);
	free(past->bits);
	past->bits = NULL;
	past->size = 0;
	budget_give(past->account, BUDGET_LABELS, past->counted);
	past->counted = 0;
	past->account = NULL;
}

/* The next reader begins again. */
static void reset(struct past *past)
{
	forget(past);
	past->phase = PAST_NEW;
	past->error = 0;
	past->lost = past->root_is_found = past->marks = false;
	past->slot = 0;
	past->next = 0;
}

/* The time of the first record that has one. Without it, any process may be older. */
static uint64_t time_of(const struct log *log, uint64_t seq)
{
	struct slice slice = slice_begin(SLICE_NSEC);
	struct log_place place;
	struct fb_event event;

	if (log_seek(log, seq, &place) != 0)
		return BEGAN_UNKNOWN;
	while (!slice_is_over(&slice, SLICE_CHEAP) && log_read(log, &place, &event) == 0)
		if (EVENT_HAS(&event, boot_usec))
			return event.boot_usec;
	return BEGAN_UNKNOWN;
}

static void start(struct past *past, const struct label *label, struct budget_account *account,
		  const struct log *log)
{
	past->first = log_first(log);
	past->account = account;
	past->phase = PAST_LIVING;
	past->began = time_of(log, past->first);
	past->error = members_add(&past->members, label->root);
}

/* The reader in whose account it was counted has gone. */
static void pass_on(struct past *past)
{
	struct past_reader *reader;
	size_t counted = past->counted;

	LIST_FOREACH(reader, &past->readers, link)
		if (reader->account == past->account)
			return;
	LIST_FOREACH(reader, &past->readers, link)
		if (budget_take(reader->account, BUDGET_LABELS, counted) == 0)
			break;
	if (reader) {
		budget_give(past->account, BUDGET_LABELS, counted);
		past->account = reader->account;
	} else if (past->phase == PAST_COMPLETE) {
		forget(past);
		past->lost = true;
	} else {
		reset(past);
	}
}

void past_put(struct past_reader *reader)
{
	struct label *label = reader->label;
	struct past *past;

	if (!label)
		return;
	past = label->past;
	LIST_REMOVE(reader, link);
	if (LIST_EMPTY(&past->readers)) {
		forget(past);
		free(past);
		label->past = NULL;
	} else if (past->phase != PAST_NEW && past->account == reader->account) {
		pass_on(past);
	}
	*reader = (struct past_reader){};
}

bool past_is_lost(const struct past *past)
{
	return past->lost;
}

bool past_has(const struct past *past, uint64_t seq)
{
	uint64_t place = past ? (seq - past->first) / 8 : 0;

	return past && seq >= past->first && place < past->size &&
	       past->bits[place] & 1 << (seq - past->first) % 8;
}

static void set_bit(struct past *past, uint64_t seq)
{
	uint64_t place = (seq - past->first) / 8;
	size_t size = (place / BITS_PIECE + 1) * BITS_PIECE;
	uint8_t *bits = past->bits;

	if (place >= past->size) {
		bits = realloc(past->bits, size);
		if (!bits) {
			past->error = -ENOMEM;
			return;
		}
		memset(bits + past->size, 0, size - past->size);
		past->bits = bits;
		past->size = size;
	}
	bits[place] |= (uint8_t)(1 << (seq - past->first) % 8);
}

static struct process_id id_of(const struct fb_event *event)
{
	return (struct process_id){ event->pid, EVENT_HAS(event, start_usec) ? event->start_usec : 0 };
}

static void add(struct past *past, struct process_id id)
{
	if (!members_find(&past->members, id) && members_add(&past->members, id) < 0)
		past->error = -ENOMEM;
}

/* Was it born before the log begins, so that no fork shows it? */
static bool is_older(const struct past *past, struct process_id id)
{
	return id.start_usec <= past->began + EVENT_START_SLACK_USEC;
}

/* The members that lived when the label began, first those that still live. */
static bool read_living(struct past *past, struct label *label, struct labels *labels,
			const struct table *table)
{
	struct slice slice = slice_begin(SLICE_NSEC);

	while (!slice_is_over(&slice, SLICE_CHEAP)) {
		const struct process *process = table_walk(table, &past->slot);

		if (!process)
			return true;
		if (is_older(past, process->id) && label_is_on(labels, label, process->line))
			add(past, process->id);
	}
	return false;
}

/* Then those that have ended since. */
static bool read_ended(struct past *past, struct label *label, struct labels *labels, const struct log *log)
{
	struct slice slice = slice_begin(SLICE_NSEC);
	struct log_place place;
	struct fb_event event;

	if (past->next < label->since)
		past->next = label->since;
	if (past->next < log_first(log))
		past->next = log_first(log);
	if (log_seek(log, past->next, &place) != 0)
		return true;
	while (!slice_is_over(&slice, SLICE_CHEAP)) {
		if (log_skip(log, &place, EVENT_TYPE_BIT(EVENT_EXIT), UINT64_MAX))
			continue;
		if (log_read(log, &place, &event) != 0)
			return true;
		if (event.type == EVENT_EXIT && EVENT_HAS(&event, label) && is_older(past, id_of(&event)) &&
		    label_is_in(labels, label, event.label))
			add(past, id_of(&event));
	}
	past->next = place.seq;
	return false;
}

/* The root was named before its fork was seen, perhaps with a start that is not exact. */
static bool is_root(struct past *past, const struct label *label, struct process_id id)
{
	struct process_id *root;

	if (id.pid != label->root.pid || !event_start_means(id.start_usec, label->root.start_usec) ||
	    (past->root_is_found && id.start_usec != label->root.start_usec))
		return false;
	root = members_find(&past->members, label->root);
	if (!root)
		return false;
	past->root_is_found = true;
	root->start_usec = id.start_usec;
	return true;
}

static bool is_born(const struct past *past, const struct fb_event *event)
{
	struct process_id parent = { .pid = event->ppid };

	if (!EVENT_HAS(event, ppid))
		return false;
	if (EVENT_HAS(event, parent_start_usec))
		parent.start_usec = event->parent_start_usec;
	return members_find(&past->members, parent);
}

/* Is a record about a member? */
static bool take(struct past *past, const struct label *label, const struct fb_event *event)
{
	struct process_id id = id_of(event);
	struct process_id *member;

	if (!EVENT_HAS(event, pid))
		return false;
	if (fb_event_is_thread(event))
		return members_find(&past->members, id);
	if (event->type == EVENT_FORK && !is_root(past, label, id)) {
		members_replace(&past->members, id);
		if (is_born(past, event))
			add(past, id);
	}
	member = members_find(&past->members, id);
	if (!member)
		return false;
	if (event->type == EVENT_EXIT)
		members_remove(&past->members, member);
	return true;
}

/* The line of a process that lives, or NULL. */
static struct line *line_of(const struct table *table, struct process_id id)
{
	const struct process *process = id.pid != 0 ? table_find(table, id.pid) : NULL;

	return process && process_id_equal(process->id, id) ? process->line : NULL;
}

/* A fork by a member that has the label, or will have it. */
static void mark_new(struct past *past, struct label *label, struct labels *labels, const struct table *table,
		     const struct fb_event *event)
{
	struct line *line = event->type == EVENT_FORK ? line_of(table, id_of(event)) : NULL;

	if (line && cover_mark(&past->cover, labels, label, line) < 0)
		past->error = -ENOMEM;
}

static bool read_on(struct past *past, struct label *label, struct labels *labels, const struct log *log,
		    const struct table *table)
{
	uint64_t until = label->since < log_next(log) ? label->since : log_next(log);
	struct slice slice = slice_begin(SLICE_NSEC);
	struct log_place place;
	struct fb_event event;

	if (past->next < log_first(log)) {
		/* Forks that were overwritten before they were read. */
		past->lost = true;
		past->next = log_first(log);
	}
	if (past->next >= until || log_seek(log, past->next, &place) != 0)
		return true;
	while (place.seq < until && !slice_is_over(&slice, SLICE_CHEAP)) {
		if (log_read(log, &place, &event) != 0)
			break;
		if (!take(past, label, &event))
			continue;
		set_bit(past, event.seq);
		if (past->marks)
			mark_new(past, label, labels, table, &event);
	}
	past->next = place.seq;
	return past->next >= until;
}

/* Note or mark the living members, a slice of them. Return: whether it was the last. */
static bool cover_slice(struct past *past, struct label *label, struct labels *labels,
			const struct table *table)
{
	const struct members *members = &past->members;
	size_t end = members_end(members);
	struct slice slice = slice_begin(SLICE_NSEC);

	for (; past->slot < end && !past->error && !slice_is_over(&slice, SLICE_CHEAP); past->slot++) {
		struct line *line = line_of(table, members->slots[past->slot]);

		if (line && past->phase == PAST_NOTING)
			cover_note(&past->cover, line);
		else if (line && cover_mark(&past->cover, labels, label, line) < 0)
			past->error = -ENOMEM;
	}
	return past->slot == end;
}

/* Everything is read, and all members that live now have the label. */
static void begin(struct past *past, struct label *label, struct labels *labels, const struct log *log)
{
	label_begin(label, log_next(log));
	if (!past->root_is_found)
		label_await(labels, label);
}

/* The log is read as far as it goes now. */
static void end_reading(struct past *past, struct label *label, struct labels *labels, const struct log *log)
{
	if (label->since == LABEL_NOT_BEGUN && !past->marks) {
		cover_begin(&past->cover, labels);
		past->slot = 0;
		past->phase = PAST_NOTING;
		return;
	}
	if (label->since == LABEL_NOT_BEGUN)
		begin(past, label, labels, log);
	members_done(&past->members);
	past->phase = PAST_COMPLETE;
}

static void read_slice(struct past *past, struct label *label, struct labels *labels, const struct log *log,
		       const struct table *table)
{
	bool begun = label->since != LABEL_NOT_BEGUN;

	switch (past->phase) {
	case PAST_LIVING:
		if (!begun || read_living(past, label, labels, table))
			past->phase = PAST_ENDED;
		break;
	case PAST_ENDED:
		if (begun && !read_ended(past, label, labels, log))
			break;
		past->phase = PAST_READING;
		past->next = past->first;
		break;
	case PAST_READING:
		if (read_on(past, label, labels, log, table) && !past->error)
			end_reading(past, label, labels, log);
		break;
	case PAST_NOTING:
		if (cover_slice(past, label, labels, table)) {
			past->slot = 0;
			past->phase = PAST_MARKING;
		}
		break;
	case PAST_MARKING:
		if (cover_slice(past, label, labels, table)) {
			past->marks = true;
			past->phase = PAST_READING;
		}
		break;
	default:
		break;
	}
}

int past_read(const struct past_reader *reader, struct labels *labels, const struct log *log,
	      const struct table *table)
{
	struct label *label = reader->label;
	struct past *past = label->past;
	int r;

	if (past->phase == PAST_COMPLETE)
		return 0;
	if (past->phase == PAST_NEW)
		start(past, label, reader->account, log);
	if (!past->error)
		read_slice(past, label, labels, log, table);
	if (!past->error)
		count(past);
	r = past->error;
	if (r < 0) {
		if (label->since == LABEL_NOT_BEGUN)
			label_unmark(labels, label);
		reset(past);
	}
	return r < 0 ? r : past->phase == PAST_COMPLETE ? 0 : -EAGAIN;
}
