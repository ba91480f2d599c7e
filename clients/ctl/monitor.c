// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include "base/cleanup.h"
#include "handle.h"
#include "options.h"
#include "output.h"

static const char help[] =
	"forkbusctl monitor [OPTIONS...]\n"
	"\n"
	"Show what processes do, as it happens.\n"
	"\n" EVENTS_HELP_FILTER "  --tree=PID[@START]        of a process and all its descendants\n"
	"  --snapshot                begin with the living processes that match\n" EVENTS_HELP_OUTPUT "\n"
	"Options:\n"
	"  --ring                    read the broker's log in shared memory, which costs it nothing;\n"
	"                            for those who see all processes\n" CTL_HELP_RUNTIME_DIR CTL_HELP_COMMON;

static int ring;

static const struct option options[] = { CTL_OPTIONS,
					 CTL_OPTIONS_JSON,
					 FILTER_OPTIONS,
					 { "lines", required_argument, NULL, 'n' },
					 { "ring", no_argument, &ring, 1 },
					 {} };

/* An option named a process that does not exist. */
static int explain(const struct ctl *ctl, const struct forkbus *client, const json_t *request, int error)
{
	if (error != -ESRCH)
		return handle_explain(ctl, client, error);
	ctl_error("%s: %s", json_object_get(request, "tree") ? "--tree" : "--pid", forkbus_get_error(client));
	return CTL_USAGE;
}

int ctl_monitor(struct ctl *ctl, int argc, char *argv[])
{
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	_cleanup_(options_done) struct options wanted = {};
	struct output output;
	int r, error;

	r = options_parse(&wanted, ctl, argc, argv, options, help);
	if (r == CTL_GO_ON)
		r = ctl_no_arguments(argc, argv);
	if (r == CTL_GO_ON)
		r = handle_new(&client, ctl, ring ? FORKBUS_RING : 0, wanted.request);
	if (r != CTL_GO_ON)
		return r;

	r = forkbus_start(client);
	if (r < 0)
		return handle_explain(ctl, client, r);
	output_catch_signals();
	r = output_init(&output, ctl->json, wanted.count);
	if (r < 0)
		return output_end(&output, output_result(r));
	r = output_follow(&output, client, &error);
	if (r == CTL_GO_ON)
		r = explain(ctl, client, wanted.request, error);
	return output_end(&output, r);
}
