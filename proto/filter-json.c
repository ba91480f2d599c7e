// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "filter.h"
#include "json-print.h"

/* The types that a subscriber chooses from; it may name source and lost, too, but gets them in any case. */
#define TYPES_DECIDING                                                                           \
	(EVENT_TYPE_BIT(EVENT_FORK) | EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_EXIT) |  \
	 EVENT_TYPE_BIT(EVENT_ID) | EVENT_TYPE_BIT(EVENT_COMM) | EVENT_TYPE_BIT(EVENT_SESSION) | \
	 EVENT_TYPE_BIT(EVENT_CHROOT) | EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE))
#define TYPES_ANYWAY	 (EVENT_TYPE_BIT(EVENT_SOURCE) | EVENT_TYPE_BIT(EVENT_LOST))
#define TYPES_SELECTABLE (TYPES_DECIDING | TYPES_ANYWAY)
#define TYPE_NAMES	 "fork, exec, exit, id, comm, session, chroot, coredump, ptrace, source, lost"

/* Names of the bits of enum filter_status, by number. */
#define STATUS_N 4
static const char *const status_names[STATUS_N] = { "any", "success", "failure", "signal" };

/* A key of the object, while it is read. */
struct key {
	const char *name;
	json_t *value;
	size_t offset; /* of what it becomes, where several keys are parsed alike */
	size_t *cost;  /* of all patterns so far */
	struct filter_error *error;
};

/* How many values a key has, in an array or alone. Return: 0 or FILTER_E_INVALID. */
static int values_count(const struct key *key, size_t *n)
{
	*n = json_is_array(key->value) ? json_array_size(key->value) : 1;
	if (*n == 0)
		return filter_refuse(key->error, key->name,
				     "must not be an empty array: it would match nothing");
	if (*n > FILTER_VALUES_MAX)
		return filter_refuse(key->error, key->name, "has %zu values, more than %d", *n,
				     FILTER_VALUES_MAX);
	return 0;
}

static json_t *value_get(const struct key *key, size_t i)
{
	return json_is_array(key->value) ? json_array_get(key->value, i) : key->value;
}

/* The text of a value, or NULL where it is none, or has a NUL inside. */
static const char *string_get(json_t *value)
{
	const char *string = json_string_value(value);

	return string && strlen(string) == json_string_length(value) ? string : NULL;
}

static int integer_parse(const struct key *key, json_t *value, const char *what, uint64_t min, uint64_t max,
			 uint64_t *ret)
{
	json_int_t integer = json_integer_value(value);

	if (!json_is_integer(value) || integer < 0 || (uint64_t)integer < min || (uint64_t)integer > max)
		return filter_refuse(key->error, key->name, "%smust be an integer from %llu to %llu", what,
				     (unsigned long long)min, (unsigned long long)max);
	*ret = (uint64_t)integer;
	return 0;
}

/* Sorts, and drops all but one of those that are equal. */
static void unique(void *values, size_t *n, size_t size, int (*compare)(const void *a, const void *b))
{
	char *at = values;
	size_t kept = 0;

	if (*n == 0)
		return;
	qsort(values, *n, size, compare);
	for (size_t i = 1; i < *n; i++)
		if (compare(at + kept * size, at + i * size) != 0)
			memmove(at + ++kept * size, at + i * size, size);
	*n = kept + 1;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_uids(const void *a, const void *b)
{
	return compare_u64(*(const uint32_t *)a, *(const uint32_t *)b);
}

static int compare_pids(const void *a, const void *b)
{
	const struct process_id *x = a, *y = b;

	return x->pid != y->pid ? compare_u64(x->pid, y->pid) : compare_u64(x->start_usec, y->start_usec);
}

void filter_pids_sort(struct filter *filter)
{
	unique(filter->pids, &filter->n_pids, sizeof(*filter->pids), compare_pids);
}

static int types_parse(struct filter *filter, const struct key *key)
{
	uint32_t types = 0;
	size_t n;
	int r;

	r = values_count(key, &n);
	if (r)
		return r;
	for (size_t i = 0; i < n; i++) {
		const char *name = string_get(value_get(key, i));
		uint32_t bit = name ? EVENT_TYPE_BIT(event_type_from_name(name)) & TYPES_SELECTABLE : 0;

		if (!name)
			return filter_refuse(key->error, key->name,
					     "must be a name or an array of them: " TYPE_NAMES);
		if (!bit)
			return filter_refuse(key->error, key->name, "has \"%.40s\"; known are " TYPE_NAMES,
					     name);
		types |= bit;
	}
	/*
	 * Filters that mean the same have the same mask. Naming every type differs from naming none: types that are named
	 * are armed, and without names a subscriber gets what is reported anyway.
	 */
	filter->types = types & TYPES_DECIDING ? types & TYPES_DECIDING : TYPES_ANYWAY;
	return 0;
}

/* A bare pid, or an object with a start. */
static int pid_parse(struct process_id *ret, const struct key *key, json_t *value)
{
	uint64_t pid, start = 0;
	json_t *field;
	const char *name;
	int r;

	if (json_is_object(value)) {
		json_object_foreach(value, name, field)
			if (strcmp(name, "pid") != 0 && strcmp(name, "startUsec") != 0)
				return filter_refuse(
					key->error, key->name,
					"has an object with the key \"%.40s\"; pid and startUsec are known",
					name);
		field = json_object_get(value, "startUsec");
		r = field ? integer_parse(key, field, "startUsec ", 0, INT64_MAX, &start) : 0;
		if (r)
			return r;
		value = json_object_get(value, "pid");
	}
	r = integer_parse(key, value, "a process id ", 1, INT32_MAX, &pid);
	if (r == 0)
		*ret = (struct process_id){ (uint32_t)pid, start };
	return r;
}

static int pids_parse(struct filter *filter, const struct key *key)
{
	size_t n;
	int r;

	r = values_count(key, &n);
	if (r)
		return r;
	filter->pids = calloc(n, sizeof(*filter->pids));
	if (!filter->pids)
		return -ENOMEM;
	for (; filter->n_pids < n; filter->n_pids++) {
		r = pid_parse(&filter->pids[filter->n_pids], key, value_get(key, filter->n_pids));
		if (r)
			return r;
	}
	filter_pids_sort(filter);
	return 0;
}

static int tree_parse(struct filter *filter, const struct key *key)
{
	filter->has_tree = true;
	return pid_parse(&filter->tree, key, key->value);
}

static int uids_parse(struct filter *filter, const struct key *key)
{
	uint64_t uid;
	size_t n;
	int r;

	r = values_count(key, &n);
	if (r)
		return r;
	filter->uids = calloc(n, sizeof(*filter->uids));
	if (!filter->uids)
		return -ENOMEM;
	for (; filter->n_uids < n; filter->n_uids++) {
		/* (uid_t)-1 is nobody's. */
		r = integer_parse(key, value_get(key, filter->n_uids), "a user id ", 0, UINT32_MAX - 1, &uid);
		if (r)
			return r;
		filter->uids[filter->n_uids] = (uint32_t)uid;
	}
	unique(filter->uids, &filter->n_uids, sizeof(*filter->uids), compare_uids);
	return 0;
}

static int compare_patterns(const void *a, const void *b)
{
	return strcmp(pattern_text(*(struct pattern *const *)a), pattern_text(*(struct pattern *const *)b));
}

static void globs_sort(struct filter_globs *globs)
{
	size_t kept = 0;

	qsort(globs->patterns, globs->n, sizeof(*globs->patterns), compare_patterns);
	for (size_t i = 1; i < globs->n; i++) {
		if (compare_patterns(&globs->patterns[kept], &globs->patterns[i]) == 0)
			pattern_free(globs->patterns[i]);
		else
			globs->patterns[++kept] = globs->patterns[i];
	}
	globs->n = kept + 1;
}

static int globs_parse(struct filter *filter, const struct key *key)
{
	struct filter_globs *globs = (void *)((char *)filter + key->offset);
	const char *text, *reason;
	size_t n;
	int r;

	r = values_count(key, &n);
	if (r)
		return r;
	globs->patterns = calloc(n, sizeof(struct pattern *));
	if (!globs->patterns)
		return -ENOMEM;
	for (; globs->n < n; globs->n++) {
		text = string_get(value_get(key, globs->n));
		if (!text)
			return filter_refuse(key->error, key->name,
					     "must be a string without NULs, or an array of them");
		r = pattern_new(&globs->patterns[globs->n], text, &reason);
		if (r == PATTERN_E_INVALID)
			return filter_refuse(key->error, key->name, "the pattern \"%.40s\" %s", text, reason);
		if (r)
			return r;
		*key->cost += pattern_cost(globs->patterns[globs->n]);
		if (*key->cost > FILTER_PATTERN_COST_MAX) {
			globs->n++;
			return filter_refuse(key->error, key->name,
					     "is one pattern with wildcards too many: one counts 1 for each "
					     "64 characters, "
					     "and a filter may have %d",
					     FILTER_PATTERN_COST_MAX);
		}
	}
	globs_sort(globs);
	return 0;
}

static int status_parse(struct filter *filter, const struct key *key)
{
	const unsigned int both = FILTER_STATUS_SUCCESS | FILTER_STATUS_FAILURE;
	unsigned int status = 0;
	size_t n, bit;
	int r;

	r = values_count(key, &n);
	if (r)
		return r;
	for (size_t i = 0; i < n; i++) {
		const char *name = string_get(value_get(key, i));

		for (bit = 0; name && bit < STATUS_N && strcmp(status_names[bit], name) != 0; bit++)
			;
		if (!name || bit == STATUS_N)
			return filter_refuse(key->error, key->name,
					     "must be of any, success, failure, signal");
		status |= 1u << bit;
	}
	/* Drop what another one includes. */
	if (status & FILTER_STATUS_ANY || (status & both) == both)
		status = FILTER_STATUS_ANY;
	if (status & FILTER_STATUS_FAILURE)
		status &= ~(unsigned int)FILTER_STATUS_SIGNAL;
	filter->status = status;
	return 0;
}

static int min_elapsed_parse(struct filter *filter, const struct key *key)
{
	filter->has_min_elapsed = true;
	return integer_parse(key, key->value, "", 0, INT64_MAX, &filter->min_elapsed_usec);
}

static int threads_parse(struct filter *filter, const struct key *key)
{
	if (!json_is_boolean(key->value))
		return filter_refuse(key->error, key->name, "must be true or false");
	filter->threads = json_is_true(key->value);
	return 0;
}

static const struct {
	const char *name;
	int (*parse)(struct filter *filter, const struct key *key);
	size_t offset;
} keys[] = {
	{ "types", types_parse, 0 },
	{ "pids", pids_parse, 0 },
	{ "tree", tree_parse, 0 },
	{ "uids", uids_parse, 0 },
	{ "comm", globs_parse, offsetof(struct filter, comm) },
	{ "exe", globs_parse, offsetof(struct filter, exe) },
	{ "cgroup", globs_parse, offsetof(struct filter, cgroup) },
	{ "unit", globs_parse, offsetof(struct filter, unit) },
	{ "status", status_parse, 0 },
	{ "minElapsedUsec", min_elapsed_parse, 0 },
	{ "threads", threads_parse, 0 },
};
#define KEYS_N ARRAY_SIZE(keys)

static size_t key_find(const char *name)
{
	size_t i;

	for (i = 0; i < KEYS_N && strcmp(keys[i].name, name) != 0; i++)
		;
	return i;
}

bool filter_has_key(const char *key)
{
	return key_find(key) < KEYS_N;
}

static int object_parse(struct filter *filter, json_t *object, struct filter_error *error)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object))
		return filter_refuse(error, "", "must be a JSON object");
	json_object_foreach(object, name, value) {
		size_t i = key_find(name);
		struct key key = { name, value, 0, &filter->cost, error };
		int r;

		if (i == KEYS_N)
			return filter_refuse(error, name, "is not known; known are " FILTER_KEYS);
		key.offset = keys[i].offset;
		r = keys[i].parse(filter, &key);
		if (r)
			return r;
	}
	return 0;
}

int filter_parse(struct filter **ret, json_t *object, struct filter_error *error)
{
	struct filter *filter = calloc(1, sizeof(*filter));
	int r;

	if (!filter)
		return -ENOMEM;
	r = object_parse(filter, object, error);
	if (r == 0 && filter_size(filter) > FILTER_SIZE_MAX)
		r = filter_refuse(error, "", "needs %zu bytes of memory, and a filter may need %d",
				  filter_size(filter), FILTER_SIZE_MAX);
	if (r) {
		filter_free(filter);
		return r;
	}
	*ret = filter;
	return 0;
}

/*
 * The way back. What makes a value returns NULL without memory. The setters of jansson pass that on: they fail for a NULL, as
 * array or as value, and own a value even where they fail.
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

static int globs_print(json_t *object, const char *key, const struct filter_globs *globs)
{
	json_t *array;
	int r = 0;

	if (globs->n == 0)
		return 0;
	array = json_array();
	for (size_t i = 0; i < globs->n; i++)
		r |= json_array_append_new(array, json_string(pattern_text(globs->patterns[i])));
	return json_object_set_new(object, key, array_done(array, r));
}

static json_t *status_print(unsigned int status)
{
	json_t *array = json_array();
	int r = 0;

	for (size_t i = 0; i < STATUS_N; i++)
		if (status & 1u << i)
			r |= json_array_append_new(array, json_string(status_names[i]));
	return array_done(array, r);
}

static int keys_print(json_t *object, const struct filter *filter)
{
	int r = 0;

	if (filter->types)
		r |= json_object_set_new(object, "types", types_print(filter->types));
	if (filter->n_pids)
		r |= json_object_set_new(object, "pids", pids_print(filter));
	if (filter->has_tree)
		r |= json_object_set_new(object, "tree", pid_print(&filter->tree));
	if (filter->n_uids)
		r |= json_object_set_new(object, "uids", uids_print(filter));
	r |= globs_print(object, "comm", &filter->comm);
	r |= globs_print(object, "exe", &filter->exe);
	r |= globs_print(object, "cgroup", &filter->cgroup);
	r |= globs_print(object, "unit", &filter->unit);
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

	return keys_print(object, filter) == 0 ? json_print(object, JSON_COMPACT, NULL) : NULL;
}
