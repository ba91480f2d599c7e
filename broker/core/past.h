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

/* past_get() - one reference more to the past of a label. Return: 0 or -ENOMEM. */
int past_get(struct label *label, const struct log *log);
void past_put(struct label *label);

/*
 * past_read() - read on, a bounded number of records
 * The label has a past, of which the caller has a reference.
 * @account: of the caller. Its memory is counted in that of the first one who reads; NULL: not at all.
 * Return: 0 when it is complete, and the label has begun; else -EAGAIN; -EDQUOT if the account has no room, or -ENOMEM: then
 * another reader may go on.
 */
int past_read(struct label *label, struct budget_account *account, struct labels *labels,
	      const struct log *log, const struct table *table);

/* past_is_lost() - is it unknown, since the log was overwritten before it was read? */
bool past_is_lost(const struct past *past);

/* past_has() - is a record from before the label began about a member? NULL: no. */
bool past_has(const struct past *past, uint64_t seq);
