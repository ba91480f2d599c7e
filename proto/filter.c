// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "filter.h"

int filter_refuse(struct filter_error *error, const char *key, const char *format, ...)
{
	va_list args;

	snprintf(error->key, sizeof(error->key), "%s", key);
	va_start(args, format);
	vsnprintf(error->detail, sizeof(error->detail), format, args);
	va_end(args);
	text_mend(error->key);
	text_mend(error->detail);
	return FILTER_E_INVALID;
}

static void globs_done(struct filter_globs *globs)
{
	for (size_t i = 0; i < globs->n; i++)
		pattern_free(globs->patterns[i]);
	free(globs->patterns);
}

struct filter *filter_free(struct filter *filter)
{
	if (filter) {
		free(filter->pids);
		free(filter->uids);
		globs_done(&filter->comm);
		globs_done(&filter->exe);
		globs_done(&filter->cgroup);
		globs_done(&filter->unit);
		free(filter);
	}
	return NULL;
}

static size_t globs_size(const struct filter_globs *globs)
{
	size_t size = globs->n * sizeof(*globs->patterns);

	for (size_t i = 0; i < globs->n; i++)
		size += pattern_size(globs->patterns[i]);
	return size;
}

size_t filter_size(const struct filter *filter)
{
	return sizeof(*filter) + filter->n_pids * sizeof(*filter->pids) +
	       filter->n_uids * sizeof(*filter->uids) + globs_size(&filter->comm) + globs_size(&filter->exe) +
	       globs_size(&filter->cgroup) + globs_size(&filter->unit);
}

static bool pids_match(const struct filter *filter, const struct fb_event *event)
{
	size_t low = 0, high = filter->n_pids;

	if (!EVENT_HAS(event, pid))
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (filter->pids[middle].pid < event->pid)
			low = middle + 1;
		else
			high = middle;
	}
	/* All processes with this pid, in no order: some starts may have been resolved since they were sorted. */
	for (; low < filter->n_pids && filter->pids[low].pid == event->pid; low++) {
		uint64_t start = filter->pids[low].start_usec;

		if (start == 0 || !EVENT_HAS(event, start_usec) ||
		    event_start_means(event->start_usec, start))
			return true;
	}
	return false;
}

static bool uids_have(const struct filter *filter, uint32_t uid)
{
	size_t low = 0, high = filter->n_uids;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (filter->uids[middle] == uid)
			return true;
		if (filter->uids[middle] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static bool uids_match(const struct filter *filter, const struct fb_event *event)
{
	if (EVENT_HAS(event, uid) && uids_have(filter, event->uid))
		return true;
	return event->type == EVENT_ID && EVENT_HAS(event, old_uid) && uids_have(filter, event->old_uid);
}

static bool globs_match(const struct filter_globs *globs, bool has, struct event_text text, size_t max)
{
	if (globs->n == 0)
		return true;
	if (!has)
		return false;
	if (text.len > max)
		text.len = max;
	for (size_t i = 0; i < globs->n; i++)
		if (pattern_match(globs->patterns[i], text.data, text.len))
			return true;
	return false;
}

static bool status_match(unsigned int status, const struct fb_event *event)
{
	bool has_code = EVENT_HAS(event, code), has_signal = EVENT_HAS(event, signal);

	if (status & FILTER_STATUS_ANY && (has_code || has_signal))
		return true;
	if (status & FILTER_STATUS_SUCCESS && has_code && event->code == 0)
		return true;
	if (status & FILTER_STATUS_FAILURE && ((has_code && event->code != 0) || has_signal))
		return true;
	return status & FILTER_STATUS_SIGNAL && has_signal;
}

bool filter_match(const struct filter *filter, const struct fb_event *event)
{
	if (EVENT_TYPES_ALWAYS & EVENT_TYPE_BIT(event->type))
		return true;
	if (filter->types && event->type != EVENT_PROCESS && !(filter->types & EVENT_TYPE_BIT(event->type)))
		return false;
	if (!filter->threads && fb_event_is_thread(event))
		return false;
	if (filter->n_pids > 0 && !pids_match(filter, event))
		return false;
	if (filter->n_uids > 0 && !uids_match(filter, event))
		return false;
	if (filter->status && !status_match(filter->status, event))
		return false;
	if (filter->has_min_elapsed &&
	    (!EVENT_HAS(event, elapsed_usec) || event->elapsed_usec < filter->min_elapsed_usec))
		return false;
	return globs_match(&filter->comm, EVENT_HAS(event, comm), event->comm, EVENT_TEXT_MAX) &&
	       globs_match(&filter->unit, EVENT_HAS(event, unit), event->unit, EVENT_TEXT_MAX) &&
	       globs_match(&filter->exe, EVENT_HAS(event, exe), event->exe, EVENT_PATH_MAX) &&
	       globs_match(&filter->cgroup, EVENT_HAS(event, cgroup), event->cgroup, EVENT_PATH_MAX);
}
