// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "base/json-text.h"
#include "bus.h"
#include "fields.h"
#include "json-read.h"
#include "request.h"
#include "settings.h"

void settings_done(struct settings *settings)
{
	json_decref(settings->filter);
	free(settings->pids);
	free(settings->since);
	*settings = (struct settings){ 0 };
}

static json_t *pid_json(const struct settings_pid *pid)
{
	if (pid->start_usec == 0)
		return json_integer(pid->pid);
	return json_pack("{sI sI}", "pid", (json_int_t)pid->pid, "startUsec", (json_int_t)pid->start_usec);
}

static struct settings_pid pid_of(const struct filter_pid *pid)
{
	return (struct settings_pid){ pid->pid, pid->start_usec, pid->start_usec != 0 };
}

json_t *settings_filter(const struct settings *settings)
{
	json_t *filter = settings->filter ? json_deep_copy(settings->filter) : json_object();
	json_t *pids = json_array();
	bool ok = filter && pids;

	for (size_t i = 0; ok && i < settings->n_pids; i++)
		ok = json_array_append_new(pids, pid_json(&settings->pids[i])) == 0;
	if (ok && settings->n_pids > 0)
		ok = json_object_set(filter, "pids", pids) == 0;
	if (ok && settings->has_tree)
		ok = json_object_set_new(filter, "tree", pid_json(&settings->tree)) == 0;
	json_decref(pids);
	if (ok)
		return filter;
	json_decref(filter);
	return NULL;
}

struct settings_pid *settings_unpinned(struct settings *settings)
{
	for (size_t i = 0; i < settings->n_pids; i++)
		if (!settings->pids[i].pinned)
			return &settings->pids[i];
	return settings->has_tree && !settings->tree.pinned ? &settings->tree : NULL;
}

/* Told only while somebody asks the broker for them: a reader of the ring does not. */
#define TYPES_ASKED \
	(EVENT_TYPE_BIT(EVENT_CHROOT) | EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE))

int settings_ring_filter(const struct settings *settings, struct filter **ret)
{
	json_t *object = settings_filter(settings);
	struct filter *filter = NULL;
	struct filter_error error;
	int r = object ? filter_parse(&filter, object, &error) : -ENOMEM;

	json_decref(object);
	*ret = NULL;
	if (r == -ENOMEM)
		return r;
	if (r == 0 && !filter->has_tree && !filter->threads && !(filter->types & TYPES_ASKED) &&
	    !settings->since && !settings->complete)
		*ret = filter;
	else
		filter_free(filter);
	return 0;
}

/* One more value of a key. */
static int filter_append(struct forkbus *bus, const char *key, json_t *value)
{
	struct settings *settings = &bus->settings;
	json_t *array;
	int r = -ENOMEM;

	if (!settings->filter)
		settings->filter = json_object();
	array = json_object_get(settings->filter, key);
	if (!array && json_object_set_new(settings->filter, key, json_array()) == 0)
		array = json_object_get(settings->filter, key);
	if (json_array_size(array) >= FILTER_VALUES_MAX)
		r = -E2BIG;
	else if (array && json_array_append(array, value) == 0)
		r = 0;
	/* An empty array would be asked for. */
	if (array && json_array_size(array) == 0)
		json_object_del(settings->filter, key);
	json_decref(value);
	return r;
}

static int filter_set(struct forkbus *bus, const char *key, json_t *value)
{
	if (!bus->settings.filter)
		bus->settings.filter = json_object();
	return json_object_set_new(bus->settings.filter, key, value) == 0 ? 0 : -ENOMEM;
}

/* Return: 0, FILTER_E_INVALID, or -ENOMEM. */
static int filter_read(struct filter **ret, const char *text, struct filter_error *error)
{
	json_auto_t *object = NULL;
	int r = json_read(&object, text, strlen(text));

	if (r == -EBADMSG)
		return filter_refuse(error, "", "a filter is one JSON object, and has no key twice");
	return r < 0 ? r : filter_parse(ret, object, error);
}

/* Processes are kept apart from the other keys. Return: 0; or -ENOMEM: nothing was changed. */
static int settings_take(struct settings *settings, const struct filter *filter)
{
	struct settings_pid *pids = calloc(filter->n_pids + 1, sizeof(*pids));
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
		pids[i] = pid_of(&filter->pids[i]);
	json_decref(settings->filter);
	free(settings->pids);
	settings->filter = object;
	settings->pids = pids;
	settings->n_pids = filter->n_pids;
	settings->has_tree = filter->has_tree;
	settings->tree = pid_of(&filter->tree);
	return 0;
}

int forkbus_set_filter(struct forkbus *bus, const char *json)
{
	struct filter *filter = NULL;
	struct filter_error error = {};
	int r;

	if (bus_is_started(bus))
		return -EBUSY;
	bus->has_text = false;
	r = filter_read(&filter, json, &error);
	if (r == 0)
		r = settings_take(&bus->settings, filter);
	filter_free(filter);
	return r > 0 ? bus_explain_filter(bus, &error) : r;
}

int forkbus_add_type(struct forkbus *bus, enum forkbus_type type)
{
	if (bus_is_started(bus))
		return -EBUSY;
	if (type < FORKBUS_TYPE_FORK || type > FORKBUS_TYPE_LOST)
		return -EINVAL;
	return filter_append(bus, "types", json_string(forkbus_type_name(type)));
}

static int pid_check(struct settings_pid *ret, uint32_t pid, uint64_t start_usec)
{
	*ret = (struct settings_pid){ pid, start_usec, start_usec != 0 };
	return pid >= 1 && pid <= INT32_MAX && start_usec <= INT64_MAX ? 0 : -EINVAL;
}

int forkbus_add_pid(struct forkbus *bus, uint32_t pid, uint64_t start_usec)
{
	struct settings *settings = &bus->settings;
	struct settings_pid *pids;

	if (bus_is_started(bus))
		return -EBUSY;
	if (settings->n_pids >= FILTER_VALUES_MAX)
		return -E2BIG;
	pids = reallocarray(settings->pids, settings->n_pids + 1, sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	settings->pids = pids;
	if (pid_check(&pids[settings->n_pids], pid, start_usec) < 0)
		return -EINVAL;
	settings->n_pids++;
	return 0;
}

int forkbus_set_tree(struct forkbus *bus, uint32_t pid, uint64_t start_usec)
{
	struct settings_pid tree;

	if (bus_is_started(bus))
		return -EBUSY;
	if (pid_check(&tree, pid, start_usec) < 0)
		return -EINVAL;
	bus->settings.tree = tree;
	bus->settings.has_tree = true;
	return 0;
}

int forkbus_add_uid(struct forkbus *bus, uint32_t uid)
{
	if (bus_is_started(bus))
		return -EBUSY;
	/* (uid_t)-1 is nobody's. */
	return uid == UINT32_MAX ? -EINVAL : filter_append(bus, "uids", json_integer(uid));
}

static bool is_utf8(const char *text)
{
	size_t left = strlen(text), n = 1;

	for (; left > 0 && n > 0; left -= n, text += n)
		n = utf8_sequence(text, left);
	return n > 0;
}

int forkbus_add_glob(struct forkbus *bus, enum forkbus_field field, const char *pattern)
{
	struct pattern *parsed = NULL;
	const char *reason;
	int r;

	if (bus_is_started(bus))
		return -EBUSY;
	if ((field != FORKBUS_FIELD_COMM && field != FORKBUS_FIELD_EXE && field != FORKBUS_FIELD_CGROUP &&
	     field != FORKBUS_FIELD_UNIT) ||
	    !is_utf8(pattern))
		return -EINVAL;
	r = pattern_new(&parsed, pattern, &reason);
	if (r == PATTERN_E_INVALID)
		return bus_explain(bus, -EINVAL, reason);
	if (r < 0)
		return r;
	pattern_free(parsed);
	return filter_append(bus, forkbus_field_name(field), json_string(pattern));
}

int forkbus_set_exits(struct forkbus *bus, unsigned int exits)
{
	static const char *const names[] = { "any", "success", "failure", "signal" };
	json_t *array;

	if (bus_is_started(bus))
		return -EBUSY;
	if (exits >> 4)
		return -EINVAL;
	if (exits == 0) {
		json_object_del(bus->settings.filter, "status");
		return 0;
	}
	array = json_array();
	for (unsigned int i = 0; i < 4; i++) {
		if (exits >> i & 1 && json_array_append_new(array, json_string(names[i])) < 0) {
			json_decref(array);
			return -ENOMEM;
		}
	}
	return filter_set(bus, "status", array);
}

int forkbus_set_min_elapsed(struct forkbus *bus, uint64_t usec)
{
	if (bus_is_started(bus))
		return -EBUSY;
	return usec > INT64_MAX ? -EINVAL : filter_set(bus, "minElapsedUsec", json_integer((json_int_t)usec));
}

int forkbus_set_threads(struct forkbus *bus, bool threads)
{
	return bus_is_started(bus) ? -EBUSY : filter_set(bus, "threads", json_boolean(threads));
}

int forkbus_set_snapshot(struct forkbus *bus, bool snapshot)
{
	if (bus_is_started(bus))
		return -EBUSY;
	bus->settings.snapshot = snapshot;
	return 0;
}

int forkbus_set_complete(struct forkbus *bus, bool complete)
{
	if (bus_is_started(bus))
		return -EBUSY;
	bus->settings.complete = complete;
	return 0;
}

static const char since_expected[] =
	"since: must be a cursor as it was given (16 hexadecimal digits, a colon, a number), "
	"or a span before now such as \"-5min\" (units us ms s min h d w)";

int forkbus_set_since(struct forkbus *bus, const char *since)
{
	struct position position = { 0 };
	char *copy = NULL;
	uint64_t usec;

	if (bus_is_started(bus))
		return -EBUSY;
	bus->has_text = false;
	if (since && since[0] == '-') {
		if (timespan_parse(since + 1, &usec) < 0)
			return bus_explain(bus, -EINVAL, since_expected);
		copy = strdup(since);
		if (!copy)
			return -ENOMEM;
	} else if (since) {
		if (cursor_parse(since, &position.epoch, &position.seq) < 0)
			return bus_explain(bus, -EINVAL, since_expected);
		position.known = true;
	}
	free(bus->settings.since);
	bus->settings.since = copy;
	bus->position = position;
	return 0;
}
