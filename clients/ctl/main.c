// SPDX-License-Identifier: LGPL-2.1-or-later
#include <locale.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl.h"

static const char help[] =
	"forkbusctl [OPTIONS...] COMMAND [OPTIONS...]\n"
	"\n"
	"Watch what the processes of this machine do, as the forkbus broker reports it.\n"
	"\n"
	"Commands:\n"
	"  monitor                   show events as they happen\n"
	"  ps                        show the living processes\n"
	"  tree [PID]                show them as a tree\n"
	"  wait PID                  wait until a process has ended, and show its exit status\n"
	"  status                    show the broker's status\n"
	"  doctor                    find out which sources of events work here\n"
	"  log FILE                  show the events in a log, whether a broker runs or not\n"
	"\n"
	"Options:\n" CTL_HELP_RUNTIME_DIR CTL_HELP_COMMON "\n"
	"Each command has a --help of its own. See forkbusctl(1).\n";

static const struct {
	const char *name;
	int (*run)(struct ctl *ctl, int argc, char *argv[]);
} commands[] = {
	{ "monitor", ctl_monitor }, { "ps", ctl_ps },	      { "tree", ctl_tree }, { "wait", ctl_wait },
	{ "status", ctl_status },   { "doctor", ctl_doctor }, { "log", ctl_log },
};

int main(int argc, char *argv[])
{
	static const struct option options[] = { CTL_OPTIONS, {} };
	struct ctl ctl = { .runtime_dir = CTL_RUNTIME_DIR };
	static char name[] = "forkbusctl";
	int option, first, r = CTL_GO_ON;

	setlocale(LC_CTYPE, "");
	if (argc > 0)
		argv[0] = name;
	while (r == CTL_GO_ON && (option = getopt_long(argc, argv, "+h", options, NULL)) != -1)
		r = ctl_option(&ctl, option, help);
	if (r != CTL_GO_ON)
		return r;
	if (optind >= argc) {
		fputs(help, stderr);
		return CTL_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[optind], commands[i].name) != 0)
			continue;
		/* The command's own options begin after its name; 0 resets getopt_long(). */
		first = optind;
		argv[first] = name;
		optind = 0;
		return commands[i].run(&ctl, argc - first, argv + first);
	}
	ctl_error("unknown command '%s'; see --help", argv[optind]);
	return CTL_USAGE;
}
