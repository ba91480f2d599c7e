// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fields.h"
#include "handle.h"
#include "json-print.h"
#include "options.h"

/* A request without these keys is a filter. */
static char *filter_text(json_t *request)
{
	json_auto_t *filter = request ? json_copy(request) : json_object();

	if (!filter)
		return NULL;
	(void)json_object_del(filter, "snapshot");
	(void)json_object_del(filter, "since");
	return json_print(filter, JSON_COMPACT, NULL);
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

/* The library reports "KEY: REASON"; print the name of the option in place of the key. */
int handle_explain_request(const struct ctl *ctl, const struct forkbus *client, int error)
{
	const char *why = forkbus_get_error(client), *option;
	_cleanup_free_ char *key = why ? strndup(why, strcspn(why, ":")) : NULL;

	option = key ? option_of_key(key) : NULL;
	if ((error != -EINVAL && error != -ERANGE) || !option)
		return handle_explain(ctl, client, error);
	ctl_error("%s%s", option, why + strlen(key));
	return CTL_USAGE;
}

int handle_new(struct forkbus **ret, const struct ctl *ctl, uint64_t flags, json_t *request)
{
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	int r = forkbus_new(&client, ctl->runtime_dir, flags);

	if (r < 0)
		return handle_explain(ctl, client, r);
	r = set_request(client, request);
	if (r < 0)
		return handle_explain_request(ctl, client, r);
	*ret = client;
	client = NULL;
	return CTL_GO_ON;
}

int handle_explain(const struct ctl *ctl, const struct forkbus *client, int error)
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

static int compare_pids(const void *a, const void *b)
{
	uint64_t x = ((const struct listed *)a)->pid, y = ((const struct listed *)b)->pid;

	return x < y ? -1 : x > y;
}

static int list_add(struct processes *processes, const struct forkbus_event *event)
{
	struct listed *listed;

	if ((processes->n & (processes->n - 1)) == 0) {
		listed = reallocarray(processes->list, processes->n ? 2 * processes->n : 1, sizeof(*listed));
		if (!listed)
			return -ENOMEM;
		processes->list = listed;
	}
	listed = &processes->list[processes->n];
	if (forkbus_event_copy(event, &listed->event) < 0)
		return -ENOMEM;
	listed->pid = UINT(event, PID);
	listed->ppid = UINT(event, PPID);
	processes->n++;
	return 0;
}

static int list_take(struct processes *processes, struct forkbus_list *list)
{
	const struct forkbus_event *event;
	int r;

	while ((r = forkbus_list_next(list, &event)) == 1) {
		r = list_add(processes, event);
		if (r < 0)
			return r;
	}
	return r;
}

int handle_list(struct processes *processes, const struct ctl *ctl, json_t *request)
{
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	struct forkbus_list *list = NULL;
	int r;

	r = handle_new(&client, ctl, 0, request);
	if (r != CTL_GO_ON)
		return r;
	r = forkbus_list_processes(client, CTL_TIMEOUT_USEC, &list);
	if (r == 0)
		r = list_take(processes, list);
	forkbus_list_free(list);
	if (r < 0)
		return handle_explain(ctl, client, r);
	qsort(processes->list, processes->n, sizeof(*processes->list), compare_pids);
	processes->boot_usec = clock_usec(CLOCK_BOOTTIME) - (uint64_t)clock_shift_usec("boottime");
	return CTL_GO_ON;
}

void processes_done(struct processes *processes)
{
	for (size_t i = 0; i < processes->n; i++)
		forkbus_event_free(processes->list[i].event);
	free(processes->list);
	*processes = (struct processes){};
}
