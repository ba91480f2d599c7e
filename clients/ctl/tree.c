// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "events-options.h"
#include "output.h"
#include "processes.h"
#include "util.h"

static const char help[] =
	"forkbusctl tree [OPTIONS...] [PID[@START]]\n"
	"\n"
	"Show the processes that live as a tree, or a process and its descendants.\n"
	"\n"
	"Options:\n"
	"  --uid=USER,...            of these users, by name or number\n" CTL_HELP_RUNTIME_DIR
		CTL_HELP_COMMON;

static const struct option options[] = { CTL_OPTIONS,
					 { "uid", required_argument, NULL, FILTER_OPTION_UID },
					 {} };

/* Deeper, the branches of a line are not drawn any more. */
#define DEPTH_MAX 64

struct drawing {
	const struct processes *processes;
	struct output output;
	bool *drawn; /* by index */
	/* What a line begins with: per level, whether there are more children below. */
	bool more[DEPTH_MAX];
};

/* The index of the parent of a process among those that are shown, or processes->n. */
static size_t parent_of(const struct processes *processes, size_t child)
{
	const struct listed *listed = &processes->list[child];
	size_t low = 0, high = processes->n;

	if (listed->ppid == 0 || listed->ppid == listed->pid)
		return processes->n;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (processes->list[middle].pid < listed->ppid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < processes->n && processes->list[low].pid == listed->ppid ? low : processes->n;
}

/* The next one after @from whose parent that is. */
static size_t next_child(const struct processes *processes, size_t parent, size_t from)
{
	while (from < processes->n && parent_of(processes, from) != parent)
		from++;
	return from;
}

static void put_branch(const struct drawing *drawing, char *buf, size_t size, unsigned int depth)
{
	bool utf8 = drawing->output.term.utf8;
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 1; i <= depth && i < DEPTH_MAX; i++) {
		const char *piece =
			i < depth ? (drawing->more[i] ? (utf8 ? "│ " : "| ") : "  ")
				  : (drawing->more[i] ? (utf8 ? "├─" : "|-") : (utf8 ? "└─" : "`-"));

		at += (size_t)snprintf(buf + at, size - at, "%s", piece);
	}
}

static void draw(struct drawing *drawing, size_t index, unsigned int depth)
{
	const struct processes *processes = drawing->processes;
	size_t child = next_child(processes, index, 0), next;
	char branch[8 * DEPTH_MAX];

	if (drawing->drawn[index])
		return;
	drawing->drawn[index] = true;
	put_branch(drawing, branch, sizeof(branch), depth);
	format_process(drawing->output.format, stdout, processes->list[index].event, branch,
		       processes->boot_usec);
	for (; child < processes->n; child = next) {
		next = next_child(processes, index, child + 1);
		if (depth + 1 < DEPTH_MAX)
			drawing->more[depth + 1] = next < processes->n;
		draw(drawing, child, depth + 1);
	}
}

static int show(const struct ctl *ctl, const struct processes *processes)
{
	struct drawing drawing = { .processes = processes };
	_cleanup_free_ bool *drawn = calloc(processes->n + 1, sizeof(*drawn));
	int r = output_init(&drawing.output, ctl->json, OUTPUT_ALL);

	drawing.drawn = drawn;
	if (r == 0 && drawn) {
		format_process_header(drawing.output.format, stdout);
		for (size_t i = 0; i < processes->n; i++)
			if (parent_of(processes, i) == processes->n)
				draw(&drawing, i, 0);
	}
	return output_end(&drawing.output, output_result(drawn ? r : -ENOMEM));
}

int ctl_tree(struct ctl *ctl, int argc, char *argv[])
{
	_cleanup_(events_options_done) struct events_options wanted = {};
	_cleanup_(processes_done) struct processes processes = {};
	struct filter_error error;
	int r;

	r = events_options_parse(&wanted, ctl, argc, argv, options, help);
	if (r == CTL_GO_ON && optind < argc) {
		if (filter_options_take(wanted.request, FILTER_OPTION_TREE, argv[optind], &error) != 0) {
			ctl_error("%s", error.detail);
			r = CTL_USAGE;
		}
		optind++;
	}
	if (r == CTL_GO_ON)
		r = ctl_no_arguments(argc, argv);
	if (r == CTL_GO_ON)
		r = processes_get(&processes, ctl, wanted.request);
	return r == CTL_GO_ON ? show(ctl, &processes) : r;
}
