// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "client.h"
#include "events.h"
#include "filter-set.h"

void filter_set_done(struct filter_set *set)
{
	json_decref(set->filter);
	free(set->pids);
	free(set->since);
	*set = (struct filter_set){ 0 };
}

static json_t *pid_json(const struct process_id *pid)
{
	if (pid->start_usec == 0)
		return json_integer(pid->pid);
	return json_pack("{sI sI}", "pid", (json_int_t)pid->pid, "startUsec", (json_int_t)pid->start_usec);
}

static struct filter_set_pid pid_of(struct process_id id)
{
	return (struct filter_set_pid){ id, id.start_usec != 0 };
}

json_t *filter_set_json(const struct filter_set *set)
{
	json_t *filter = set->filter ? json_deep_copy(set->filter) : json_object();
	json_t *pids = json_array();
	bool ok = filter && pids;

	for (size_t i = 0; ok && i < set->n_pids; i++)
		ok = json_array_append_new(pids, pid_json(&set->pids[i].id)) == 0;
	if (ok && set->n_pids > 0)
		ok = json_object_set(filter, "pids", pids) == 0;
	if (ok && set->has_tree)
		ok = json_object_set_new(filter, "tree", pid_json(&set->tree.id)) == 0;
	json_decref(pids);
	if (ok)
		return filter;
	json_decref(filter);
	return NULL;
}

struct filter_set_pid *filter_set_unpinned(struct filter_set *set)
{
	for (size_t i = 0; i < set->n_pids; i++)
		if (!set->pids[i].pinned)
			return &set->pids[i];
	return set->has_tree && !set->tree.pinned ? &set->tree : NULL;
}

/* These are reported only while a subscriber requests them from the broker, which a reader of the ring does not do. */
#define TYPES_ASKED \
	(EVENT_TYPE_BIT(EVENT_CHROOT) | EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE))

int filter_set_ring_filter(const struct filter_set *set, struct filter **ret)
{
	json_t *object = filter_set_json(set);
	struct filter *filter = NULL;
	struct filter_error error;
	int r = object ? filter_parse(&filter, object, &error) : -ENOMEM;

	json_decref(object);
	*ret = NULL;
	if (r == -ENOMEM)
		return r;
	if (r == 0 && !filter->has_tree && !filter->threads && !(filter->types & TYPES_ASKED) &&
	    !set->since && !set->complete)
		*ret = filter;
	else
		filter_free(filter);
	return 0;
}

/* Add a value to a key. */
static int key_append(struct filter_set *set, const char *key, json_t *value)
{
	json_t *array;
	int r = -ENOMEM;

	if (!set->filter)
		set->filter = json_object();
	array = json_object_get(set->filter, key);
	if (!array && json_object_set_new(set->filter, key, json_array()) == 0)
		array = json_object_get(set->filter, key);
	if (json_array_size(array) >= FILTER_VALUES_MAX)
		r = -E2BIG;
	else if (array && json_array_append(array, value) == 0)
		r = 0;
	/* An empty array would be part of the request. */
	if (array && json_array_size(array) == 0)
		json_object_del(set->filter, key);
	json_decref(value);
	return r;
}

static int key_set(struct filter_set *set, const char *key, json_t *value)
{
	if (!set->filter)
		set->filter = json_object();
	return json_object_set_new(set->filter, key, value) == 0 ? 0 : -ENOMEM;
}

/* Return: 0, FILTER_E_INVALID, or -ENOMEM. */
static int filter_read(struct filter **ret, const char *text, struct filter_error *error)
{
	json_auto_t *object = NULL;
	int r = json_read(&object, text, strlen(text));

	if (r == -EBADMSG)
		return filter_refuse(error, "", "a filter is one JSON object without duplicate keys");
	return r < 0 ? r : filter_parse(ret, object, error);
}

/* Processes are stored separately from the other keys. Return: 0; or -ENOMEM: nothing was changed. */
static int filter_set_take(struct filter_set *set, const struct filter *filter)
{
	struct filter_set_pid *pids = calloc(filter->n_pids + 1, sizeof(*pids));
	char *text = filter_print(filter);
	json_t *object = NULL;
	int r = pids && text ? json_read(&object, text, strlen(text)) : -ENOMEM;

	free(text);
	if (r < 0) {
		free(pids);
		return -ENOMEM;
	}
	(void)json_object_del(object, "pids");
	(void)json_object_del(object, "tree");
	for (size_t i = 0; i < filter->n_pids; i++)
		pids[i] = pid_of(filter->pids[i]);
	json_decref(set->filter);
	free(set->pids);
	set->filter = object;
	set->pids = pids;
	set->n_pids = filter->n_pids;
	set->has_tree = filter->has_tree;
	set->tree = pid_of(filter->tree);
	return 0;
}

int forkbus_set_filter(struct forkbus *client, const char *json)
{
	struct filter *filter = NULL;
	struct filter_error error = {};
	int r;

	if (client_is_started(client))
		return -EBUSY;
	reason_clear(&client->reason);
	r = filter_read(&filter, json, &error);
	if (r == 0)
		r = filter_set_take(&client->set, filter);
	filter_free(filter);
	return r > 0 ? reason_set_filter(&client->reason, &error) : r;
}

int forkbus_add_type(struct forkbus *client, enum forkbus_type type)
{
	if (client_is_started(client))
		return -EBUSY;
	if (type < FORKBUS_TYPE_FORK || type > FORKBUS_TYPE_LOST)
		return -EINVAL;
	return key_append(&client->set, "types", json_string(forkbus_type_name(type)));
}

static int pid_check(struct filter_set_pid *ret, uint32_t pid, uint64_t start_usec)
{
	*ret = pid_of((struct process_id){ pid, start_usec });
	return pid >= 1 && pid <= INT32_MAX && start_usec <= INT64_MAX ? 0 : -EINVAL;
}

int forkbus_add_pid(struct forkbus *client, uint32_t pid, uint64_t start_usec)
{
	struct filter_set *set = &client->set;
	struct filter_set_pid *pids;

	if (client_is_started(client))
		return -EBUSY;
	if (set->n_pids >= FILTER_VALUES_MAX)
		return -E2BIG;
	pids = reallocarray(set->pids, set->n_pids + 1, sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	set->pids = pids;
	if (pid_check(&pids[set->n_pids], pid, start_usec) < 0)
		return -EINVAL;
	set->n_pids++;
	return 0;
}

int forkbus_set_tree(struct forkbus *client, uint32_t pid, uint64_t start_usec)
{
	struct filter_set_pid tree;

	if (client_is_started(client))
		return -EBUSY;
	if (pid_check(&tree, pid, start_usec) < 0)
		return -EINVAL;
	client->set.tree = tree;
	client->set.has_tree = true;
	return 0;
}

int forkbus_add_uid(struct forkbus *client, uint32_t uid)
{
	if (client_is_started(client))
		return -EBUSY;
	/* (uid_t)-1 is not a valid user id. */
	return uid == UINT32_MAX ? -EINVAL : key_append(&client->set, "uids", json_integer(uid));
}

static bool is_utf8(const char *text)
{
	size_t left = strlen(text), n = 1;

	for (; left > 0 && n > 0; left -= n, text += n)
		n = utf8_sequence(text, left);
	return n > 0;
}

int forkbus_add_glob(struct forkbus *client, enum forkbus_field field, const char *pattern)
{
	struct pattern *parsed = NULL;
	const char *reason;
	int r;

	if (client_is_started(client))
		return -EBUSY;
	if ((field != FORKBUS_FIELD_COMM && field != FORKBUS_FIELD_EXE && field != FORKBUS_FIELD_CGROUP &&
	     field != FORKBUS_FIELD_UNIT) ||
	    !is_utf8(pattern))
		return -EINVAL;
	r = pattern_new(&parsed, pattern, &reason);
	if (r == PATTERN_E_INVALID)
		return reason_set(&client->reason, -EINVAL, "%s", reason);
	if (r < 0)
		return r;
	pattern_free(parsed);
	return key_append(&client->set, forkbus_field_name(field), json_string(pattern));
}

int forkbus_set_exits(struct forkbus *client, unsigned int exits)
{
	static const char *const names[] = { "any", "success", "failure", "signal" };
	json_t *array;

	if (client_is_started(client))
		return -EBUSY;
	if (exits >> 4)
		return -EINVAL;
	if (exits == 0) {
		json_object_del(client->set.filter, "status");
		return 0;
	}
	array = json_array();
	for (unsigned int i = 0; i < 4; i++) {
		if (exits >> i & 1 && json_array_append_new(array, json_string(names[i])) < 0) {
			json_decref(array);
			return -ENOMEM;
		}
	}
	return key_set(&client->set, "status", array);
}

int forkbus_set_min_elapsed(struct forkbus *client, uint64_t usec)
{
	if (client_is_started(client))
		return -EBUSY;
	return usec > INT64_MAX ? -EINVAL
				: key_set(&client->set, "minElapsedUsec", json_integer((json_int_t)usec));
}

int forkbus_set_threads(struct forkbus *client, bool threads)
{
	return client_is_started(client) ? -EBUSY : key_set(&client->set, "threads", json_boolean(threads));
}

int forkbus_set_snapshot(struct forkbus *client, bool snapshot)
{
	if (client_is_started(client))
		return -EBUSY;
	client->set.snapshot = snapshot;
	return 0;
}

int forkbus_set_complete(struct forkbus *client, bool complete)
{
	if (client_is_started(client))
		return -EBUSY;
	client->set.complete = complete;
	return 0;
}

static const char since_expected[] =
	"since: must be a cursor as it was given (16 hexadecimal digits, a colon, a number), "
	"or a span before now such as \"-5min\" (units us ms s min h d w)";

int forkbus_set_since(struct forkbus *client, const char *since)
{
	struct position position = { 0 };
	char *copy = NULL;
	uint64_t usec;

	if (client_is_started(client))
		return -EBUSY;
	reason_clear(&client->reason);
	if (since && since[0] == '-') {
		if (timespan_parse(since + 1, &usec) < 0)
			return reason_set(&client->reason, -EINVAL, "%s", since_expected);
		copy = strdup(since);
		if (!copy)
			return -ENOMEM;
	} else if (since) {
		if (cursor_parse(since, &position.epoch, &position.seq) < 0)
			return reason_set(&client->reason, -EINVAL, "%s", since_expected);
		position.known = true;
	}
	free(client->set.since);
	client->set.since = copy;
	client->position = position;
	return 0;
}
