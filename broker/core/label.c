// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "core/hash-text.h"

#include "core/label.h"

#include "base/cleanup.h"
#include "event.h"

#define NUMBERS_MIN 64

/* What a number means: a mark, or another number, which is newer; NOTHING: labels that are gone. */
struct number {
	uint64_t used; /* the latest record with it */
	uintptr_t to;  /* a struct mark, or (number << 1 | 1) */
};

#define NOTHING ((uintptr_t)1)

/* Processes that ended last, and the number of their last record: a thread may be reported after its process. */
#define ENDED_MAX 64

struct ended {
	struct process_id id;
	uint32_t number;
};

/*
 * Numbers are given in sequence, and the oldest one is forgotten when the log has overwritten all records with it. A mark that
 * outlives the records of the time when it got its number gets a new one, so that no old number stays in use.
 */
struct labels {
	struct lineage *lineage;
	struct label *by_root;
	struct number *numbers; /* a ring of @size, a power of two; a number is at its place modulo @size */
	uint32_t oldest, n, size;
	struct ended ended[ENDED_MAX]; /* a ring */
	unsigned int n_ended;
};

DEFINE_CLEANUP(struct labels, labels_free)

int labels_new(struct labels **ret, struct lineage *lineage)
{
	_cleanup_(labels_free_p) struct labels *labels = calloc(1, sizeof(*labels));

	if (!labels)
		return -ENOMEM;
	labels->lineage = lineage;
	labels->oldest = 1;
	labels->size = NUMBERS_MIN;
	labels->numbers = calloc(labels->size, sizeof(*labels->numbers));
	if (!labels->numbers)
		return -ENOMEM;
	*ret = steal(labels);
	return 0;
}

struct labels *labels_free(struct labels *labels)
{
	if (labels)
		free(labels->numbers);
	free(labels);
	return NULL;
}

size_t labels_count(const struct labels *labels)
{
	return HASH_COUNT(labels->by_root);
}

size_t labels_numbers(const struct labels *labels)
{
	return labels->n;
}

uint64_t labels_new_cover(struct labels *labels)
{
	return ++labels->lineage->covers;
}

/* Numbers */

static struct number *number_at(const struct labels *labels, uint32_t number)
{
	return &labels->numbers[number & (labels->size - 1)];
}

static bool number_is_known(const struct labels *labels, uint32_t number)
{
	return number - labels->oldest < labels->n;
}

static struct mark *mark_of(const struct number *number)
{
	return number->to & 1 ? NULL : (struct mark *)number->to;
}

static void numbers_forget(struct labels *labels, uint64_t first)
{
	while (labels->n > 0) {
		struct number *oldest = number_at(labels, labels->oldest);

		if (oldest->used >= first)
			return;
		if (mark_of(oldest))
			mark_of(oldest)->number = 0;
		labels->oldest++;
		labels->n--;
	}
}

static int numbers_grow(struct labels *labels)
{
	struct labels larger = { .size = 2 * labels->size };

	if (larger.size == 0)
		return -ENOMEM;
	larger.numbers = calloc(larger.size, sizeof(*larger.numbers));
	if (!larger.numbers)
		return -ENOMEM;
	for (uint32_t i = 0; i < labels->n; i++)
		*number_at(&larger, labels->oldest + i) = *number_at(labels, labels->oldest + i);
	free(labels->numbers);
	labels->numbers = larger.numbers;
	labels->size = larger.size;
	return 0;
}

/* Return: the number, or 0 without memory. */
static uint32_t number_new(struct labels *labels, struct mark *mark, uint64_t seq)
{
	uint32_t number;

	do {
		if (labels->n == labels->size && numbers_grow(labels) < 0)
			return 0;
		number = labels->oldest + labels->n++;
		*number_at(labels, number) = (struct number){ seq, NOTHING };
	} while (number == 0); /* means that there is none */
	number_at(labels, number)->to = (uintptr_t)mark;
	return number;
}

/* Without memory it keeps the number that it has. */
static void mark_renumber(struct labels *labels, struct mark *mark, uint64_t seq)
{
	uint32_t number = number_new(labels, mark, seq);

	if (number == 0)
		return;
	if (mark->number != 0)
		number_at(labels, mark->number)->to = (uintptr_t)number << 1 | 1;
	mark->number = number;
	mark->numbered = seq;
}

static bool is_newer(const struct labels *labels, const struct mark *mark, const struct mark *than)
{
	return mark->number != 0 && mark->number - labels->oldest >= than->number - labels->oldest;
}

/* The number of a mark that goes means the next mark from now on, by a number that is newer and so not forgotten before. */
static void number_pass_on(struct labels *labels, const struct mark *mark)
{
	struct number *number = number_at(labels, mark->number);
	struct mark *next = mark_next(labels, mark);
	uint64_t used = number->used;

	number->to = NOTHING;
	if (!next)
		return;
	if (!is_newer(labels, next, mark))
		mark_renumber(labels, next, used);
	/* The ring may have moved. */
	if (is_newer(labels, next, mark))
		number_at(labels, mark->number)->to = (uintptr_t)next->number << 1 | 1;
}

uint32_t labels_number(struct labels *labels, struct line *line, uint64_t seq, uint64_t first)
{
	struct mark *mark = line ? lineage_near(labels->lineage, line) : NULL;

	if (!mark)
		return 0;
	if (mark->number == 0 || mark->numbered < first) {
		numbers_forget(labels, first);
		mark_renumber(labels, mark, seq);
	}
	if (mark->number != 0)
		number_at(labels, mark->number)->used = seq;
	return mark->number;
}

void labels_note_end(struct labels *labels, struct process_id id, uint32_t number)
{
	labels->ended[labels->n_ended++ % ENDED_MAX] = (struct ended){ id, number };
}

uint32_t labels_number_of_ended(struct labels *labels, struct process_id id, uint64_t seq)
{
	for (unsigned int i = 0; i < ENDED_MAX; i++) {
		const struct ended *ended = &labels->ended[i];

		if (!process_id_equal(ended->id, id) || !number_is_known(labels, ended->number))
			continue;
		number_at(labels, ended->number)->used = seq;
		return ended->number;
	}
	return 0;
}

struct mark *labels_find(struct labels *labels, uint32_t number)
{
	while (number_is_known(labels, number)) {
		struct number *place = number_at(labels, number), *next;

		if (place->to == NOTHING || !(place->to & 1))
			return mark_of(place);
		/* The way is shorter next time. */
		number = (uint32_t)(place->to >> 1);
		next = number_at(labels, number);
		if (next->to & 1)
			place->to = next->to;
	}
	return NULL;
}

/* Marks */

struct mark *mark_next(const struct labels *labels, const struct mark *mark)
{
	if (mark->beside)
		return mark->beside;
	return mark->line->parent ? lineage_near(labels->lineage, mark->line->parent) : NULL;
}

int label_mark(struct labels *labels, struct label *label, struct line *line)
{
	struct mark *mark = calloc(1, sizeof(*mark));

	if (!mark)
		return -ENOMEM;
	mark->label = label;
	mark->line = line;
	mark->beside = line->marks;
	line->marks = mark;
	LIST_INSERT_HEAD(&label->marks, mark, link);
	labels->lineage->n_marks++;
	lineage_changed(labels->lineage, line);
	return 0;
}

static void mark_remove(struct labels *labels, struct mark *mark)
{
	struct mark **at = &mark->line->marks;

	if (mark->number != 0)
		number_pass_on(labels, mark);
	while (*at != mark)
		at = &(*at)->beside;
	*at = mark->beside;
	LIST_REMOVE(mark, link);
	labels->lineage->n_marks--;
	lineage_changed(labels->lineage, mark->line);
	free(mark);
}

void label_unmark(struct labels *labels, struct label *label)
{
	while (!LIST_EMPTY(&label->marks))
		mark_remove(labels, LIST_FIRST(&label->marks));
}

/* Labels */

static int label_new(struct label **ret, struct labels *labels, struct process_id root)
{
	struct label *label = calloc(1, sizeof(*label));
	bool oom = false;

	if (!label)
		return -ENOMEM;
	label->root = root;
	label->key[0] = root.pid;
	label->key[1] = root.start_usec;
	label->since = LABEL_NOT_BEGUN;
	LIST_INIT(&label->marks);
	LIST_INIT(&label->views);
	HASH_ADD(hh, labels->by_root, key, sizeof(label->key), label);
	if (oom) {
		free(label);
		return -ENOMEM;
	}
	label->references = 1;
	*ret = label;
	return 0;
}

static struct label *label_find(const struct labels *labels, struct process_id root)
{
	uint64_t key[2] = { root.pid, root.start_usec };
	struct label *label;

	HASH_FIND(hh, labels->by_root, key, sizeof(key), label);
	return label;
}

int label_get(struct label **ret, struct labels *labels, struct process_id root, struct line *line,
	      uint64_t next)
{
	struct label *label = label_find(labels, root);
	int r;

	if (label) {
		label->references++;
		*ret = label;
		return 0;
	}
	r = label_new(&label, labels, root);
	if (r == 0 && line) {
		r = label_mark(labels, label, line);
		if (r < 0)
			label_put(labels, label);
		else
			label_begin(label, next);
	}
	if (r == 0)
		*ret = label;
	return r;
}

struct label *label_put(struct labels *labels, struct label *label)
{
	if (!label || --label->references > 0)
		return NULL;
	label_unmark(labels, label);
	if (label->awaits)
		labels->lineage->n_awaiting--;
	HASH_DEL(labels->by_root, label);
	free(label);
	return NULL;
}

void label_begin(struct label *label, uint64_t next)
{
	label->since = next;
	label->asked = 0;
}

void label_await(struct labels *labels, struct label *label)
{
	if (!label->awaits)
		labels->lineage->n_awaiting++;
	label->awaits = true;
}

static void meet(struct labels *labels, struct process_id id, uint64_t named, struct line *line)
{
	struct label *label = label_find(labels, (struct process_id){ id.pid, named });

	if (!label || !label->awaits || !event_start_means(id.start_usec, named) ||
	    label_mark(labels, label, line) < 0)
		return;
	label->awaits = false;
	labels->lineage->n_awaiting--;
}

void labels_meet(struct labels *labels, struct process_id id, struct line *line)
{
	uint64_t tick = id.start_usec - id.start_usec % EVENT_START_SLACK_USEC;

	/* Named by its exact start, or by a tick beside it. */
	meet(labels, id, id.start_usec, line);
	for (uint64_t named = tick > 0 ? tick - EVENT_START_SLACK_USEC : 0;
	     named <= tick + EVENT_START_SLACK_USEC; named += EVENT_START_SLACK_USEC)
		if (named != id.start_usec)
			meet(labels, id, named, line);
}

bool label_is_on(const struct labels *labels, const struct label *label, struct line *line)
{
	struct mark *mark = line ? lineage_near(labels->lineage, line) : NULL;

	while (mark && mark->label != label)
		mark = mark_next(labels, mark);
	return mark;
}

static bool answer(const struct labels *labels, struct label *label, uint32_t number, bool is_in)
{
	label->asked = number;
	label->asked_at = labels->lineage->changes;
	label->answer = is_in;
	return is_in;
}

void label_set_in(const struct labels *labels, struct label *label, uint32_t number)
{
	(void)answer(labels, label, number, true);
}

bool label_is_in(struct labels *labels, struct label *label, uint32_t number)
{
	struct mark *mark;

	if (number == 0)
		return false;
	if (label->asked == number && label->asked_at == labels->lineage->changes)
		return label->answer;
	mark = labels_find(labels, number);
	while (mark && mark->label != label)
		mark = mark_next(labels, mark);
	return answer(labels, label, number, mark);
}
