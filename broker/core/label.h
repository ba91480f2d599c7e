/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Labels: which processes belong together. A filter's "tree" is a label on its process, and so on all that descend from it;
 * equal trees share one, and it goes with its last subscriber. A label that stays, on processes that a user chose, would be
 * one with several marks.
 *
 * A mark is a label's place in the lineage. The labels of a process are the marks on its way up: trees are nested or apart, so
 * the nearest mark says them all, and its number is all that a record in the log carries. To add or remove a label is one
 * change at one place, however many processes have it, and neither a process nor a view has a state that grows.
 *
 * A number keeps its meaning while the log holds a record with it: if its mark is removed, it means the next mark above.
 * Records from before a label began say nothing about it: see past.h.
 */

#include <sys/queue.h>

#include <uthash.h>

#include "core/lineage.h"
#include "core/view-index.h"
#include "process-id.h"

struct past;
struct labels;

struct mark {
	struct label *label;
	struct line *line;
	struct mark *beside; /* the next one on the same line */
	uint32_t number;     /* in records, 0: none */
	uint64_t numbered;   /* the record for which it got that number */
	LIST_ENTRY(mark) link;
};

struct label {
	struct process_id root;
	uint64_t key[2]; /* the same without padding */
	unsigned int references;
	uint64_t since; /* records from here on have it; LABEL_NOT_BEGUN: its members are not known yet */
	bool awaits;	/* it has begun, and its root was not seen yet */
	LIST_HEAD(, mark) marks;
	struct view_entry_list views; /* those whose filter has this tree */
	struct past *past;	      /* which records before @since are its members'; NULL: not needed now */
	/* The answer for the number of the last record: most records are like the one before. */
	uint32_t asked;
	uint64_t asked_at; /* lineage.changes */
	bool answer;
	UT_hash_handle hh;
};

#define LABEL_NOT_BEGUN UINT64_MAX

/* labels_new() - @lineage: of the table; must outlive the labels */
int labels_new(struct labels **ret, struct lineage *lineage);
/* All labels must be gone. NULL is fine. Return: NULL. */
struct labels *labels_free(struct labels *labels);

/* How many labels, and numbers that the log may hold, there are. */
size_t labels_count(const struct labels *labels);
size_t labels_numbers(const struct labels *labels);

/* labels_new_cover() - a number that no line has, for cover.h */
uint64_t labels_new_cover(struct labels *labels);

/*
 * label_get() - the label of a process and its descendants: an existing or a new one
 * @line: of that process, or NULL if it has ended: then a new label has not begun; see label_mark(), label_begin()
 * @next: the sequence number of the next record
 * Return: 0 or -ENOMEM.
 */
int label_get(struct label **ret, struct labels *labels, struct process_id root, struct line *line,
	      uint64_t next);
/* One reference less. NULL is fine. Return: NULL. */
struct label *label_put(struct labels *labels, struct label *label);

/* label_mark() - give it to a process and its descendants. Return: 0 or -ENOMEM. */
int label_mark(struct labels *labels, struct label *label, struct line *line);

/* label_unmark() - take it from all processes */
void label_unmark(struct labels *labels, struct label *label);

/* label_begin() - all members are marked: records from @next on have it */
void label_begin(struct label *label, uint64_t next);

/*
 * label_await() - it has begun, but nothing is known of its root: the process gets the label when it is seen
 * A subscriber can know a new process before its fork is published.
 */
void label_await(struct labels *labels, struct label *label);

/*
 * labels_meet() - a process was seen: it gets the label that awaits it
 * Without memory the label awaits it further. @line: of the process
 */
void labels_meet(struct labels *labels, struct process_id id, struct line *line);

/*
 * labels_number() - the number for a record about a process
 * @line: of the process, or NULL; @seq: of the record; @first: the oldest one in the log
 * Return: 0 if it has no label.
 */
uint32_t labels_number(struct labels *labels, struct line *line, uint64_t seq, uint64_t first);

/*
 * labels_note_end() - a process with a label has ended: @number: that of its last record
 * labels_number_of_ended() - the number for a record about a thread of it, which comes later; 0: none
 */
void labels_note_end(struct labels *labels, struct process_id id, uint32_t number);
uint32_t labels_number_of_ended(struct labels *labels, struct process_id id, uint64_t seq);

/* labels_find() - the nearest mark that a number means, NULL for 0 and for numbers whose labels are gone */
struct mark *labels_find(struct labels *labels, uint32_t number);

/* mark_next() - the next mark above, or NULL */
struct mark *mark_next(const struct labels *labels, const struct mark *mark);

/* label_is_on() - does a process have a label? @line: its line, or NULL */
bool label_is_on(const struct labels *labels, const struct label *label, struct line *line);

/* label_set_in() - the answer of the next label_is_in() for this number is yes: its marks were just walked through */
void label_set_in(const struct labels *labels, struct label *label, uint32_t number);

/* label_is_in() - did the process of a record have it? @number: that of the record, which is not from before label.since */
bool label_is_in(struct labels *labels, struct label *label, uint32_t number);
