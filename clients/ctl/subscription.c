// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "filter-options.h"
#include "request.h"
#include "subscription.h"
#include "util.h"

static int set_globs(struct forkbus *bus, enum forkbus_field field, const struct filter_globs *globs)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < globs->n; i++)
		r = forkbus_add_glob(bus, field, pattern_text(globs->patterns[i]));
	return r;
}

static int set_who(struct forkbus *bus, const struct filter *filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < filter->n_pids; i++)
		r = forkbus_add_pid(bus, filter->pids[i].pid, filter->pids[i].start_usec);
	for (size_t i = 0; r == 0 && i < filter->n_uids; i++)
		r = forkbus_add_uid(bus, filter->uids[i]);
	if (r == 0 && filter->has_tree)
		r = forkbus_set_tree(bus, filter->tree.pid, filter->tree.start_usec);
	if (r == 0)
		r = set_globs(bus, FORKBUS_FIELD_COMM, &filter->comm);
	if (r == 0)
		r = set_globs(bus, FORKBUS_FIELD_EXE, &filter->exe);
	if (r == 0)
		r = set_globs(bus, FORKBUS_FIELD_CGROUP, &filter->cgroup);
	if (r == 0)
		r = set_globs(bus, FORKBUS_FIELD_UNIT, &filter->unit);
	return r;
}

static unsigned int exits_of(unsigned int status)
{
	return (status & FILTER_STATUS_ANY ? FORKBUS_EXITS_ANY : 0) |
	       (status & FILTER_STATUS_SUCCESS ? FORKBUS_EXITS_SUCCESS : 0) |
	       (status & FILTER_STATUS_FAILURE ? FORKBUS_EXITS_FAILURE : 0) |
	       (status & FILTER_STATUS_SIGNAL ? FORKBUS_EXITS_SIGNAL : 0);
}

static int set_what(struct forkbus *bus, const struct filter *filter)
{
	int r = 0;

	for (enum event_type type = EVENT_NONE + 1; r == 0 && type < _EVENT_TYPE_MAX; type++)
		if (filter->types & EVENT_TYPE_BIT(type))
			r = forkbus_add_type(bus, forkbus_type_from_name(event_type_name(type)));
	if (r == 0)
		r = forkbus_set_exits(bus, exits_of(filter->status));
	if (r == 0 && filter->has_min_elapsed)
		r = forkbus_set_min_elapsed(bus, filter->min_elapsed_usec);
	return r < 0 ? r : forkbus_set_threads(bus, filter->threads);
}

static int set_all(struct forkbus *bus, const struct request *request, const char *since)
{
	int r = set_who(bus, request->filter);

	if (r == 0)
		r = set_what(bus, request->filter);
	if (r == 0)
		r = forkbus_set_snapshot(bus, request->snapshot);
	return r < 0 || !since ? r : forkbus_set_since(bus, since);
}

static void request_p(struct request *request)
{
	request_done(request);
}

/* What is wrong with it is said with the name of the option. */
static int parse(struct request *parsed, const json_t *request)
{
	_cleanup_free_ char *text = request ? json_dumps(request, JSON_COMPACT) : strdup("{}");
	struct filter_error error;
	const char *option;
	int r = text ? request_parse(parsed, text, strlen(text), &error) : -ENOMEM;

	if (r == 0)
		return CTL_GO_ON;
	if (r < 0) {
		ctl_error("%s", strerror(-r));
		return CTL_FAILURE;
	}
	option = filter_option_of_key(error.key);
	ctl_error("%s: %s", option ? option : error.key, error.detail);
	return CTL_USAGE;
}

int subscription_new(struct forkbus **ret, const struct ctl *ctl, uint64_t flags, json_t *request)
{
	_cleanup_(request_p) struct request parsed = {};
	_cleanup_(forkbus_p) struct forkbus *bus = NULL;
	int r = parse(&parsed, request);

	if (r != CTL_GO_ON)
		return r;
	r = forkbus_new(&bus, ctl->runtime_dir, flags);
	if (r == 0)
		r = set_all(bus, &parsed, json_string_value(json_object_get(request, "since")));
	if (r < 0)
		return subscription_explain(ctl, bus, r);
	*ret = bus;
	bus = NULL;
	return CTL_GO_ON;
}

int subscription_explain(const struct ctl *ctl, const struct forkbus *bus, int error)
{
	const char *why = bus ? forkbus_get_error(bus) : NULL;

	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		ctl_error("no broker runs at %s (%s); see forkbusd(8), or try: forkbusctl doctor",
			  ctl->runtime_dir, strerror(-error));
		return CTL_FAILURE;
	case -EBADMSG:
		ctl_error("what answers at %s/org.forkbus1 is no forkbus broker", ctl->runtime_dir);
		return CTL_FAILURE;
	case -ETIMEDOUT:
		ctl_error("the broker at %s did not answer in time", ctl->runtime_dir);
		return CTL_FAILURE;
	case -ECONNRESET:
		ctl_error("the broker at %s closed the connection without an answer", ctl->runtime_dir);
		return CTL_FAILURE;
	case -EUSERS:
		ctl_error("refused by the broker: %s", why ? why : strerror(-error));
		return CTL_FAILURE;
	case -ENAMETOOLONG:
		ctl_error("%s/org.forkbus1: %s", ctl->runtime_dir, strerror(-error));
		return CTL_FAILURE;
	default:
		ctl_error("%s", why ? why : strerror(-error));
		return error == -EINVAL || error == -ERANGE || error == -ESRCH ? CTL_USAGE : CTL_FAILURE;
	}
}
