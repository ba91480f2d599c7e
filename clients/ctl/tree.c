// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "handle.h"
#include "options.h"
#include "output.h"

static const char help[] =
	"forkbusctl tree [OPTIONS...] [PID[@START]]\n"
	"\n"
	"Show the living processes as a tree, or one process and its descendants.\n"
	"\n"
	"Options:\n"
	"  --uid=USER,...            of these users, by name or number\n" CTL_HELP_RUNTIME_DIR
		CTL_HELP_COMMON;

static const struct option options[] = { CTL_OPTIONS,
					 { "uid", required_argument, NULL, FILTER_OPTION_UID },
					 {} };

/* Branches are drawn up to this depth only. */
#define DEPTH_MAX 64

/* The relatives of a process, by index among the shown processes; NONE: there is none. */
#define NONE SIZE_MAX

struct node {
	size_t parent, next; /* its next sibling */
	size_t first;	     /* its first child */
	unsigned int depth;
};

struct drawing {
	const struct processes *processes;
	struct node *nodes; /* of each process */
	struct output output;
	/* For each level of the current line: does the process there have a sibling below? */
	bool more[DEPTH_MAX];
};

static size_t parent_of(const struct processes *processes, size_t child)
{
	uint64_t ppid = processes->list[child].ppid;
	size_t low = 0, high = processes->n;

	if (ppid == 0 || ppid == processes->list[child].pid)
		return NONE;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (processes->list[middle].pid < ppid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < processes->n && processes->list[low].pid == ppid ? low : NONE;
}

/* Processes are linked from the last to the first, so that siblings are in the order of their pids. */
static void link_all(struct drawing *drawing)
{
	for (size_t i = 0; i < drawing->processes->n; i++)
		drawing->nodes[i] = (struct node){ .first = NONE, .next = NONE };
	for (size_t i = drawing->processes->n; i-- > 0;) {
		struct node *node = &drawing->nodes[i];

		node->parent = parent_of(drawing->processes, i);
		if (node->parent == NONE)
			continue;
		node->next = drawing->nodes[node->parent].first;
		drawing->nodes[node->parent].first = i;
	}
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

static void draw_one(struct drawing *drawing, size_t index)
{
	const struct processes *processes = drawing->processes;
	const struct node *node = &drawing->nodes[index];
	char branch[8 * DEPTH_MAX];

	if (node->depth > 0 && node->depth < DEPTH_MAX)
		drawing->more[node->depth] = node->next != NONE;
	put_branch(drawing, branch, sizeof(branch), node->depth);
	format_process(drawing->output.format, stdout, processes->list[index].event, branch,
		       processes->boot_usec);
}

/* The process to draw next: a child, else a sibling, else a sibling of an ancestor. */
static size_t next_of(const struct drawing *drawing, size_t index, size_t root)
{
	if (drawing->nodes[index].first != NONE)
		return drawing->nodes[index].first;
	while (index != root && drawing->nodes[index].next == NONE)
		index = drawing->nodes[index].parent;
	return index == root ? NONE : drawing->nodes[index].next;
}

/* Without recursion: any user can create a chain of processes as long as the number of pids. */
static void draw(struct drawing *drawing, size_t root)
{
	for (size_t at = root; at != NONE; at = next_of(drawing, at, root)) {
		if (at != root)
			drawing->nodes[at].depth = drawing->nodes[drawing->nodes[at].parent].depth + 1;
		draw_one(drawing, at);
	}
}

static int show(const struct ctl *ctl, const struct processes *processes)
{
	_cleanup_free_ struct node *nodes = calloc(processes->n + 1, sizeof(*nodes));
	struct drawing drawing = { .processes = processes, .nodes = nodes };
	int r = output_init(&drawing.output, ctl->json, OUTPUT_ALL);

	if (r == 0 && nodes) {
		link_all(&drawing);
		format_process_header(drawing.output.format, stdout);
		for (size_t i = 0; i < processes->n; i++)
			if (nodes[i].parent == NONE)
				draw(&drawing, i);
	}
	return output_end(&drawing.output, output_result(nodes ? r : -ENOMEM));
}

int ctl_tree(struct ctl *ctl, int argc, char *argv[])
{
	_cleanup_(options_done) struct options wanted = {};
	_cleanup_(processes_done) struct processes processes = {};
	struct filter_error error;
	int r;

	r = options_parse(&wanted, ctl, argc, argv, options, help);
	if (r == CTL_GO_ON && optind < argc) {
		if (options_take(wanted.request, FILTER_OPTION_TREE, argv[optind], &error) != 0) {
			ctl_error("%s", error.detail);
			r = CTL_USAGE;
		}
		optind++;
	}
	if (r == CTL_GO_ON)
		r = ctl_no_arguments(argc, argv);
	if (r == CTL_GO_ON)
		r = handle_list(&processes, ctl, wanted.request);
	return r == CTL_GO_ON ? show(ctl, &processes) : r;
}
