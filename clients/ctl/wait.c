// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "handle.h"
#include "options.h"
#include "output.h"

static const char help[] =
	"forkbusctl wait [OPTIONS...] PID[@START]\n"
	"\n"
	"Wait until a process has ended, and show its exit status. It need not be a child\n"
	"of the caller.\n"
	"\n"
	"Options:\n" CTL_HELP_JSON CTL_HELP_RUNTIME_DIR CTL_HELP_COMMON;

static const struct option options[] = { CTL_OPTIONS, CTL_OPTIONS_JSON, {} };

struct waiting {
	const struct ctl *ctl;
	struct forkbus *client;
	uint64_t pid, start_usec; /* start: unknown before the snapshot */
};

static int show(const struct ctl *ctl, const struct forkbus_event *event)
{
	struct output output;
	int r = output_init(&output, ctl->json, OUTPUT_ALL);

	if (r == 0)
		r = output_event(&output, event);
	return output_end(&output, output_result(r));
}

/* After a loss: the exit may be among the lost events, so check whether the process still exists. */
static int look(const struct waiting *waiting)
{
	struct forkbus_event *process = NULL;
	int r = forkbus_get_process(waiting->client, (uint32_t)waiting->pid, waiting->start_usec,
				    CTL_TIMEOUT_USEC, &process);

	forkbus_event_free(process);
	if (r == 0)
		return CTL_GO_ON;
	if (r != -ESRCH)
		return handle_explain(waiting->ctl, waiting->client, r);
	ctl_error("process %" PRIu64 " has ended; its exit status was lost", waiting->pid);
	return CTL_FAILURE;
}

/* Return: an exit status or CTL_GO_ON. */
static int take(struct waiting *waiting, const struct forkbus_event *event)
{
	switch (forkbus_event_get_type(event)) {
	case FORKBUS_TYPE_PROCESS:
		(void)forkbus_event_get_uint(event, FORKBUS_FIELD_START_USEC, &waiting->start_usec);
		return CTL_GO_ON;
	case FORKBUS_TYPE_EXIT:
		return show(waiting->ctl, event);
	case FORKBUS_TYPE_LOST:
		return look(waiting);
	case FORKBUS_TYPE_READY:
		if (waiting->start_usec)
			return CTL_GO_ON;
		ctl_error("there is no process %" PRIu64 ", or you may not see it", waiting->pid);
		return CTL_FAILURE;
	default:
		return CTL_GO_ON;
	}
}

static int wait_for_it(struct waiting *waiting)
{
	const struct forkbus_event *event;
	int r = CTL_GO_ON, item;

	while (r == CTL_GO_ON && !output_stopped()) {
		item = forkbus_process(waiting->client, &event);
		if (item == FORKBUS_EVENT) {
			r = take(waiting, event);
		} else if (item == FORKBUS_NOTHING) {
			r = output_wait(waiting->client, -1);
		} else if (item < 0) {
			r = handle_explain(waiting->ctl, waiting->client, item);
		}
	}
	return r == CTL_GO_ON ? CTL_FAILURE : r;
}

int ctl_wait(struct ctl *ctl, int argc, char *argv[])
{
	_cleanup_(options_done) struct options wanted = {};
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	struct waiting waiting = { .ctl = ctl };
	struct filter_error error;
	int r;

	r = options_parse(&wanted, ctl, argc, argv, options, help);
	if (r != CTL_GO_ON)
		return r;
	if (argc - optind != 1) {
		ctl_error("wait takes one PID; see --help");
		return CTL_USAGE;
	}
	if (options_take(wanted.request, FILTER_OPTION_PID, argv[optind], &error) != 0) {
		ctl_error("%s", error.detail);
		return CTL_USAGE;
	}
	if (json_array_size(json_object_get(wanted.request, "pids")) != 1) {
		ctl_error("'%s' is a list; wait takes one PID", argv[optind]);
		return CTL_USAGE;
	}
	waiting.pid = strtoul(argv[optind], NULL, 10);
	(void)options_take(wanted.request, FILTER_OPTION_TYPE, "exit", &error);
	(void)options_take(wanted.request, FILTER_OPTION_SNAPSHOT, NULL, &error);
	r = handle_new(&client, ctl, 0, wanted.request);
	if (r != CTL_GO_ON)
		return r;
	waiting.client = client;
	r = forkbus_start(client);
	if (r < 0)
		return handle_explain(ctl, client, r);
	output_catch_signals();
	return wait_for_it(&waiting);
}
