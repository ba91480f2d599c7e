/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A table for each test of a program, and the events that its processes make. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/table.h"

static inline int setup(void **state)
{
	return table_new((struct table **)state);
}

static inline int teardown(void **state)
{
	assert_null(table_free(*state));
	return 0;
}

static inline struct fb_event make(enum event_type type, uint32_t pid, uint64_t start_usec)
{
	struct fb_event event;

	memset(&event, 0xa5, sizeof(event));
	fb_event_init(&event, type);
	EVENT_SET(&event, pid, pid);
	if (start_usec)
		EVENT_SET(&event, start_usec, start_usec);
	return event;
}

static inline void apply(struct table *table, const struct fb_event *event)
{
	assert_int_equal(table_apply(table, event), 0);
}

static inline void apply_fork(struct table *table, uint32_t pid, uint64_t start_usec, uint32_t ppid,
			      uint64_t seq)
{
	struct fb_event event = make(EVENT_FORK, pid, start_usec);

	EVENT_SET(&event, ppid, ppid);
	EVENT_SET(&event, seq, seq);
	apply(table, &event);
}

static inline void apply_exit(struct table *table, uint32_t pid, uint64_t start_usec)
{
	struct fb_event event = make(EVENT_EXIT, pid, start_usec);

	apply(table, &event);
}

static inline bool knows(const struct process *process, field_set bits)
{
	return (process->has & bits) == bits;
}

static inline size_t count_children(const struct process *process)
{
	size_t n = 0;

	for (const struct process *child = process->children; child; child = child->sibling) {
		assert_ptr_equal(child->parent, process);
		assert_ptr_equal(*child->sibling_prev, child);
		n++;
	}
	return n;
}
