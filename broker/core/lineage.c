// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <string.h>

#include "core/lineage.h"

/* Lines of ended processes that are kept for the next forks. */
#define SPARE_MAX 4096

void lineage_done(struct lineage *lineage)
{
	struct line *line;

	while ((line = lineage->spare)) {
		lineage->spare = line->sibling;
		free(line);
	}
	lineage->n_spare = 0;
}

struct line *lineage_add(struct lineage *lineage)
{
	struct line *line = lineage->spare;

	if (line) {
		lineage->spare = line->sibling;
		lineage->n_spare--;
		memset(line, 0, sizeof(*line));
	} else {
		line = calloc(1, sizeof(*line));
	}
	lineage->n += line != NULL;
	return line;
}

static void recycle(struct lineage *lineage, struct line *line)
{
	lineage->n--;
	if (lineage->n_spare == SPARE_MAX) {
		free(line);
		return;
	}
	line->sibling = lineage->spare;
	lineage->spare = line;
	lineage->n_spare++;
}

static void link_below(struct line *line, struct line *parent)
{
	line->parent = parent;
	line->sibling = parent->children;
	line->sibling_prev = &parent->children;
	if (line->sibling)
		line->sibling->sibling_prev = &line->sibling;
	parent->children = line;
}

static void unlink_line(struct line *line)
{
	if (!line->parent)
		return;
	*line->sibling_prev = line->sibling;
	if (line->sibling)
		line->sibling->sibling_prev = line->sibling_prev;
	line->parent = NULL;
}

static bool is_above(const struct line *line, const struct line *below)
{
	while (below && below != line)
		below = below->parent;
	return below;
}

void lineage_join(struct lineage *lineage, struct line *line, struct line *parent)
{
	if (!line || !parent || line->joined || line == parent || (line->children && is_above(line, parent)))
		return;
	link_below(line, parent);
	line->joined = true;
	/* What hangs on it, and the labels of its marks, may remember that no mark is above. */
	if (line->children || line->marks || line->near_at == lineage->changes)
		lineage->changes++;
}

/* Remove lines that say nothing more: of an ended process, with at most one branch, and without a mark. */
static void tidy(struct lineage *lineage, struct line *line)
{
	struct line *parent, *child;

	while (line && line->ended && !line->marks && !(line->children && line->children->sibling)) {
		parent = line->parent;
		child = line->children;
		if (child)
			unlink_line(child);
		unlink_line(line);
		if (child && parent)
			link_below(child, parent);
		recycle(lineage, line);
		/* A parent that has lost a branch may be the next. */
		line = child ? NULL : parent;
	}
}

struct line *lineage_end(struct lineage *lineage, struct line *line)
{
	if (line) {
		line->ended = true;
		tidy(lineage, line);
	}
	return NULL;
}

void lineage_changed(struct lineage *lineage, struct line *line)
{
	lineage->changes++;
	tidy(lineage, line);
}

struct mark *lineage_near(const struct lineage *lineage, struct line *line)
{
	struct line *end = line;
	struct mark *near = NULL;

	while (end && !end->marks && end->near_at != lineage->changes)
		end = end->parent;
	if (end)
		near = end->marks ? end->marks : end->near;
	for (; line != end; line = line->parent) {
		line->near = near;
		line->near_at = lineage->changes;
	}
	return near;
}
