/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A process and its descendants: the set behind a filter's "tree".
 *
 * Who belongs to it is decided once, at the fork, and never changes, whatever becomes of the parent. So
 * events may be asked about again (a chunk was evicted), and out of turn, as long as the dead are remembered
 * until their events have been told for good.
 */

#include <stdbool.h>

#include "event.h"
#include "table.h"

struct tree;

/* tree_new() - the process @root, and those of its descendants that live. Return: 0 or -ENOMEM. */
int tree_new(struct tree **ret, struct process_id root, const struct table *table);
struct tree *tree_free(struct tree *tree);

/*
 * tree_take() - does an event concern a member? A fork by a member makes another; an exit is noted.
 * Without memory for a new member, its branch is missing.
 */
bool tree_take(struct tree *tree, const struct fb_event *event);

/* tree_forget() - members that ended before @seq will not be asked about again */
void tree_forget(struct tree *tree, uint64_t seq);
