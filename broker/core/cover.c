// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/cover.h"

#include <errno.h>

void cover_begin(struct cover *cover, struct labels *labels)
{
	cover->id = labels_new_cover(labels);
}

static bool is_noted(const struct cover *cover, const struct line *line)
{
	return line->cover == cover->id && !line->split;
}

static void note(const struct cover *cover, struct line *line, bool split)
{
	line->cover = cover->id;
	line->split = split;
	line->covered = false;
}

void cover_note(const struct cover *cover, struct line *line)
{
	if (!is_noted(cover, line))
		note(cover, line, false);
}

/* An ended process gets no more branches, so it may have the label if all of them have. */
static bool has_only_noted(const struct cover *cover, struct line *line)
{
	bool all = true;

	if (!line->ended)
		return false;
	if (line->cover != cover->id) {
		for (const struct line *child = line->children; all && child; child = child->sibling)
			all = is_noted(cover, child);
		note(cover, line, !all);
	}
	return !line->split;
}

int cover_mark(const struct cover *cover, struct labels *labels, struct label *label, struct line *line)
{
	struct line *top = line;

	cover_note(cover, line);
	while (!top->covered && top->parent &&
	       (is_noted(cover, top->parent) || has_only_noted(cover, top->parent)))
		top = top->parent;
	if (!top->covered) {
		if (label_mark(labels, label, top) < 0)
			return -ENOMEM;
		top->covered = true;
	}
	for (; line != top; line = line->parent)
		line->covered = true;
	return 0;
}
