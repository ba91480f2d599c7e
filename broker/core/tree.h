/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A process and its descendants: the set behind a filter's "tree".
 *
 * Membership is decided once, at the fork, and does not change when the parent ends. So events may be checked again (a chunk
 * was evicted), and out of order, if dead members are kept until all their events have been sent.
 */

#include <stdbool.h>

#include "event.h"
#include "table.h"

struct tree;

/* tree_new() - the process @root, and its living descendants. Return: 0 or -ENOMEM. */
int tree_new(struct tree **ret, struct process_id root, const struct table *table);
struct tree *tree_free(struct tree *tree);

/*
 * tree_take() - does an event concern a member? A fork by a member adds a member; an exit is noted. If memory for a new
 * member runs out, its branch is missing.
 */
bool tree_take(struct tree *tree, const struct fb_event *event);

/* tree_forget() - drop the members that ended before @seq: their events will not be checked again */
void tree_forget(struct tree *tree, uint64_t seq);
