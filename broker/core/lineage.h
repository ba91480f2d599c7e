/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The descent of processes: a line for each living process, below the line of the process that forked it.
 *
 * The parent is decided once, whatever process gets the children of one that ends. A process that ended keeps its line as
 * long as two branches hang on it, or a mark: so all living descendants of a living process are found, and there are fewer
 * lines of the dead than of the living.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mark;

struct line {
	struct line *parent;
	struct line *children;
	struct line *sibling, **sibling_prev;
	struct mark *marks; /* on this line, the latest first: see label.h */
	struct mark *near;  /* the first one on the way up, if near_at is the lineage's number of changes */
	uint64_t near_at;
	uint64_t cover : 60;  /* see cover.h: the last one in which it was noted */
	uint64_t covered : 1; /* then: it has the label, by a mark on it or above */
	uint64_t split : 1;   /* then: not all of its branches were noted */
	uint64_t joined : 1;  /* it has had a parent: it gets no other */
	uint64_t ended : 1;
};

/* Zeroed, except for @changes, which begins at 1. */
struct lineage {
	uint64_t changes; /* of marks, and of parents of lines that may have been asked for their marks */
	size_t n;	  /* lines */
	size_t n_marks;
	size_t n_awaiting; /* labels whose root was not seen yet */
	uint64_t covers;   /* given to covers */
	struct line *spare;
	unsigned int n_spare;
};

/* All lines must have ended, and have no marks. */
void lineage_done(struct lineage *lineage);

/* lineage_add() - the line of a new process. Return: NULL without memory. */
struct line *lineage_add(struct lineage *lineage);

/*
 * lineage_join() - put a line below that of the process that forked its process, unless it was joined before
 * It stays as it is if one of them is NULL, or @parent descends from it, as contradictory events may say.
 */
void lineage_join(struct lineage *lineage, struct line *line, struct line *parent);

/* lineage_end() - the process has ended. NULL is fine. Return: NULL. */
struct line *lineage_end(struct lineage *lineage, struct line *line);

/* lineage_changed() - the marks of a line have changed. It is gone afterwards if nothing needs it any more. */
void lineage_changed(struct lineage *lineage, struct line *line);

/* lineage_near() - the first mark of a line or of those above it. Return: NULL if there is none. */
struct mark *lineage_near(const struct lineage *lineage, struct line *line);
