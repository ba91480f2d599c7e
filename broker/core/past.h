/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The past of a label: which records from before it began are about its members, one bit each.
 *
 * It is found by reading the log once, from its oldest record on: a fork by a member makes a member. While that goes on, the
 * members that live at this point of the log are kept. The members of a tree whose root has ended are those that live at the
 * end: then they get the label, and it begins. The subscribers that still read the past share it, and it goes with the last.
 *
 * What cannot be found: a member that was born before the log begins, and had ended when the label began.
 */

#include "core/budget.h"
#include "core/label.h"
#include "core/log.h"
#include "core/table.h"

/* The part of a subscriber that the past of its label knows. Zeroed while it reads none. */
struct past_reader {
	struct label *label;
	struct budget_account *account; /* NULL: nothing is counted */
	LIST_ENTRY(past_reader) link;
};

/*
 * past_get() - share the past of a label
 * Its memory is counted in the account of one of its readers: the first one, and when the last one of that account has gone,
 * another one that has room.
 * @account: must outlive the reader. Return: 0 or -ENOMEM.
 */
int past_get(struct label *label, const struct log *log, struct past_reader *reader,
	     struct budget_account *account);
/* A zeroed reader is allowed, and it is zeroed. */
void past_put(struct past_reader *reader);

/*
 * past_read() - read on, a bounded number of records
 * Return: 0 when it is complete, and the label has begun; else -EAGAIN; -EDQUOT if the reader's account has no room, or
 * -ENOMEM: then another reader begins again.
 */
int past_read(const struct past_reader *reader, struct labels *labels, const struct log *log,
	      const struct table *table);

/* past_is_lost() - is it unknown? The log was overwritten before it was read, or none of its readers has room for it. */
bool past_is_lost(const struct past *past);

/* past_has() - is a record from before the label began about a member? NULL: no. */
bool past_has(const struct past *past, uint64_t seq);
