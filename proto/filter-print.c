// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>

#include "filter-private.h"

/*
 * Each returns NULL without memory. The setters of jansson pass that on: they fail for a NULL, as array or as value, and
 * own a value even where they fail.
 */

/* Return: @array, or NULL if @r says that something failed. */
static json_t *array_done(json_t *array, int r)
{
	if (r == 0)
		return array;
	json_decref(array);
	return NULL;
}

static json_t *types_print(uint32_t types)
{
	json_t *array = json_array();
	int r = 0;

	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		if (types & EVENT_TYPE_BIT(type))
			r |= json_array_append_new(array, json_string(event_type_name(type)));
	return array_done(array, r);
}

static json_t *pid_print(const struct process_id *pid)
{
	if (pid->start_usec == 0)
		return json_integer(pid->pid);
	return json_pack("{s:I, s:I}", "pid", (json_int_t)pid->pid, "startUsec", (json_int_t)pid->start_usec);
}

static json_t *pids_print(const struct filter *filter)
{
	json_t *array = json_array();
	int r = 0;

	for (size_t i = 0; i < filter->n_pids; i++)
		r |= json_array_append_new(array, pid_print(&filter->pids[i]));
	return array_done(array, r);
}

static json_t *uids_print(const struct filter *filter)
{
	json_t *array = json_array();
	int r = 0;

	for (size_t i = 0; i < filter->n_uids; i++)
		r |= json_array_append_new(array, json_integer(filter->uids[i]));
	return array_done(array, r);
}

static json_t *globs_print(const struct filter_globs *globs)
{
	json_t *array = json_array();
	int r = 0;

	for (size_t i = 0; i < globs->n; i++)
		r |= json_array_append_new(array, json_string(pattern_text(globs->patterns[i])));
	return array_done(array, r);
}

static json_t *status_print(unsigned int status)
{
	json_t *array = json_array();
	int r = 0;

	for (size_t i = 0; i < FILTER_STATUS_N; i++)
		if (status & 1u << i)
			r |= json_array_append_new(array, json_string(filter_status_names[i]));
	return array_done(array, r);
}

static int keys_print(json_t *object, const struct filter *filter)
{
	static const struct {
		const char *key;
		size_t offset;
	} globs[] = {
		{ "comm", offsetof(struct filter, comm) },
		{ "exe", offsetof(struct filter, exe) },
		{ "cgroup", offsetof(struct filter, cgroup) },
		{ "unit", offsetof(struct filter, unit) },
	};
	int r = 0;

	if (filter->types)
		r |= json_object_set_new(object, "types", types_print(filter->types));
	if (filter->n_pids)
		r |= json_object_set_new(object, "pids", pids_print(filter));
	if (filter->has_tree)
		r |= json_object_set_new(object, "tree", pid_print(&filter->tree));
	if (filter->n_uids)
		r |= json_object_set_new(object, "uids", uids_print(filter));
	for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
		const struct filter_globs *values = (const void *)((const char *)filter + globs[i].offset);

		if (values->n)
			r |= json_object_set_new(object, globs[i].key, globs_print(values));
	}
	if (filter->status)
		r |= json_object_set_new(object, "status", status_print(filter->status));
	if (filter->has_min_elapsed)
		r |= json_object_set_new(object, "minElapsedUsec",
					 json_integer((json_int_t)filter->min_elapsed_usec));
	if (filter->threads)
		r |= json_object_set_new(object, "threads", json_true());
	return r;
}

char *filter_print(const struct filter *filter)
{
	json_auto_t *object = json_object();
	char *text = NULL;
	size_t size;

	if (keys_print(object, filter) != 0)
		return NULL;
	/* Measured first: json_dumps() can lose a key where its buffer does not grow (jansson 2.14). */
	size = json_dumpb(object, NULL, 0, JSON_COMPACT);
	if (size > 0)
		text = malloc(size + 1);
	if (!text)
		return NULL;
	if (json_dumpb(object, text, size, JSON_COMPACT) != size) {
		free(text);
		return NULL;
	}
	text[size] = '\0';
	return text;
}
