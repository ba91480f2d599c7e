// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include "base/cleanup.h"
#include "handle.h"
#include "options.h"
#include "output.h"

static const char help[] =
	"forkbusctl ps [OPTIONS...]\n"
	"\n"
	"Show the living processes.\n"
	"\n"
	"Which ones; lists are separated by commas, an option given again adds to its list:\n"
	"  --pid=PID[@START],...     these processes; START as in startUsec\n"
	"  --tree=PID[@START]        a process and all its descendants\n"
	"  --uid=USER,...            of these users, by name or number\n"
	"  --comm=PATTERN,...        with a matching name; * and ? as in a shell\n"
	"  --exe=PATTERN,...         that run a matching file\n"
	"  --cgroup=PATTERN,...      in a matching cgroup\n"
	"  --unit=PATTERN,...        of a matching systemd unit\n"
	"\n"
	"Options:\n" CTL_HELP_JSON CTL_HELP_RUNTIME_DIR CTL_HELP_COMMON;

static const struct option options[] = { CTL_OPTIONS,
					 CTL_OPTIONS_JSON,
					 { "pid", required_argument, NULL, FILTER_OPTION_PID },
					 { "tree", required_argument, NULL, FILTER_OPTION_TREE },
					 { "uid", required_argument, NULL, FILTER_OPTION_UID },
					 { "comm", required_argument, NULL, FILTER_OPTION_COMM },
					 { "exe", required_argument, NULL, FILTER_OPTION_EXE },
					 { "cgroup", required_argument, NULL, FILTER_OPTION_CGROUP },
					 { "unit", required_argument, NULL, FILTER_OPTION_UNIT },
					 {} };

static int show(const struct ctl *ctl, const struct processes *processes)
{
	struct output output;
	int r = output_init(&output, ctl->json, OUTPUT_ALL);

	if (r == 0 && ctl->json == CTL_JSON_OFF)
		format_process_header(output.format, stdout);
	for (size_t i = 0; r == 0 && i < processes->n; i++)
		if (ctl->json == CTL_JSON_OFF)
			format_process(output.format, stdout, processes->list[i].event, NULL,
				       processes->boot_usec);
		else
			r = output_event(&output, processes->list[i].event);
	return output_end(&output, output_result(r));
}

int ctl_ps(struct ctl *ctl, int argc, char *argv[])
{
	_cleanup_(options_done) struct options wanted = {};
	_cleanup_(processes_done) struct processes processes = {};
	int r;

	r = options_parse(&wanted, ctl, argc, argv, options, help);
	if (r == CTL_GO_ON)
		r = ctl_no_arguments(argc, argv);
	if (r == CTL_GO_ON)
		r = handle_list(&processes, ctl, wanted.request);
	return r == CTL_GO_ON ? show(ctl, &processes) : r;
}
