/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is certain about the end of a process: its status, and what it used. For thread-groups.c. */

#include "source/connector/thread-group.h"

/*
 * group_judge() - how did it end?
 * @exact: every thread was counted, and no message lost since
 * @complete: all threads that were counted have ended; @records: taskstats works
 */
void group_judge(const struct group *group, bool exact, bool complete, bool records, struct group_end *end);
