// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "options.h"
#include "subscription.h"

/* Of a request all but these is the filter. */
static char *filter_text(json_t *request)
{
	json_auto_t *filter = request ? json_copy(request) : json_object();

	if (!filter)
		return NULL;
	(void)json_object_del(filter, "snapshot");
	(void)json_object_del(filter, "since");
	return json_dumps(filter, JSON_COMPACT);
}

static int set_request(struct forkbus *client, json_t *request)
{
	const char *since = json_string_value(json_object_get(request, "since"));
	_cleanup_free_ char *filter = filter_text(request);
	int r = filter ? forkbus_set_filter(client, filter) : -ENOMEM;

	if (r == 0)
		r = forkbus_set_snapshot(client, json_is_true(json_object_get(request, "snapshot")));
	return r < 0 || !since ? r : forkbus_set_since(client, since);
}

/* The library names a key, "KEY: REASON"; the user typed the option. */
int subscription_explain_request(const struct ctl *ctl, const struct forkbus *client, int error)
{
	const char *why = forkbus_get_error(client), *option;
	_cleanup_free_ char *key = why ? strndup(why, strcspn(why, ":")) : NULL;

	option = key ? option_of_key(key) : NULL;
	if ((error != -EINVAL && error != -ERANGE) || !option)
		return subscription_explain(ctl, client, error);
	ctl_error("%s%s", option, why + strlen(key));
	return CTL_USAGE;
}

int subscription_new(struct forkbus **ret, const struct ctl *ctl, uint64_t flags, json_t *request)
{
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	int r = forkbus_new(&client, ctl->runtime_dir, flags);

	if (r < 0)
		return subscription_explain(ctl, client, r);
	r = set_request(client, request);
	if (r < 0)
		return subscription_explain_request(ctl, client, r);
	*ret = client;
	client = NULL;
	return CTL_GO_ON;
}

int subscription_explain(const struct ctl *ctl, const struct forkbus *client, int error)
{
	const char *why = client ? forkbus_get_error(client) : NULL;

	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		ctl_error("no broker runs at %s (%s); see forkbusd(8), or try: forkbusctl doctor",
			  ctl->runtime_dir, strerror(-error));
		return CTL_FAILURE;
	case -EBADMSG:
		ctl_error("%s/org.forkbus1 is not a forkbus broker", ctl->runtime_dir);
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
