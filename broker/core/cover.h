/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Gives a label to many processes that were found one by one, by as few marks as possible: a mark is needed only where none
 * of those above has it, and one mark on the line of an ended process does for all of its branches.
 *
 * First cover_note() for each, then cover_mark() for each; both can be done in slices, while processes come and go. Two that
 * are covered at the same time may need more marks than necessary.
 */

#include "core/label.h"

struct cover {
	uint64_t id; /* of the lines that were noted */
};

void cover_begin(struct cover *cover, struct labels *labels);

/* cover_note() - a process of the label was found. @line: of it */
void cover_note(const struct cover *cover, struct line *line);

/* cover_mark() - from now on it has the label; it is noted, too. Return: 0 or -ENOMEM. */
int cover_mark(const struct cover *cover, struct labels *labels, struct label *label, struct line *line);
