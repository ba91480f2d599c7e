// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "ctl.h"
#include "event-json.h"
#include "events-options.h"
#include "log-reader.h"
#include "output.h"
#include "request.h"
#include "signals.h"
#include "util.h"

static const char help[] = "forkbusctl log [OPTIONS...] FILE\n"
			   "\n"
			   "Show the events in a log, of a broker that runs or not: RUNTIME_DIR/log.\n"
			   "\n" EVENTS_HELP_FILTER EVENTS_HELP_OUTPUT "\n"
			   "Options:\n" CTL_HELP_COMMON "\n"
			   "A log does not know which processes live: --pid needs PID@START, and --tree and\n"
			   "--snapshot are for monitor alone.\n";

static const struct option options[] = {
	CTL_OPTIONS, CTL_OPTIONS_JSON, FILTER_OPTIONS, { "lines", required_argument, NULL, 'n' }, {}
};

struct log_view {
	struct log_reader reader;
	struct request request;
	uint64_t since_usec, after_seq; /* 0: all */
};

/* A file that shrinks while it is mapped; a broker never does that to its log. */
static void truncated(int number)
{
	static const char message[] = "forkbusctl: the file was cut short while it was read\n";

	(void)number;
	(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
	_exit(CTL_FAILURE);
}

/* What the options ask for, as the broker would understand it. Return: an exit status or CTL_GO_ON. */
static int understand(struct log_view *view, const json_t *wanted)
{
	_cleanup_free_ char *line = json_dumps(wanted, JSON_COMPACT);
	struct filter_error error;
	struct timespec now;
	int r;

	if (json_object_get(wanted, "tree") || json_object_get(wanted, "snapshot")) {
		ctl_error("%s: only a running broker knows which processes live; see monitor",
			  json_object_get(wanted, "tree") ? "--tree" : "--snapshot");
		return CTL_USAGE;
	}
	r = line ? request_parse(&view->request, line, strlen(line), &error) : -ENOMEM;
	if (r == FILTER_E_INVALID) {
		const char *option = filter_option_of_key(error.key);

		ctl_error("%s: %s", option ? option : error.key, error.detail);
		return CTL_USAGE;
	}
	if (r < 0) {
		ctl_error("%s", strerror(-r));
		return CTL_FAILURE;
	}
	for (size_t i = 0; i < view->request.filter->n_pids; i++) {
		const struct process_id *pid = &view->request.filter->pids[i];

		if (pid->start_usec == 0) {
			ctl_error("--pid: only a running broker knows which process %" PRIu32
				  " is now; give it as %" PRIu32 "@STARTUSEC",
				  pid->pid, pid->pid);
			return CTL_USAGE;
		}
	}
	if (view->request.since == REQUEST_SINCE_TIME) {
		clock_gettime(CLOCK_REALTIME, &now);
		uint64_t usec = (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;

		view->since_usec = usec > view->request.ago_usec ? usec - view->request.ago_usec : 0;
	}
	return CTL_GO_ON;
}

/* Return: an exit status or CTL_GO_ON. */
static int open_log(struct log_view *view, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat stat;
	void *map = MAP_FAILED;
	int r;

	if (fd >= 0 && fstat(fd, &stat) == 0) {
		if (!S_ISREG(stat.st_mode) || stat.st_size == 0) {
			ctl_error("%s: not a log of forkbusd", path);
			return CTL_FAILURE;
		}
		map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
	}
	if (map == MAP_FAILED) {
		ctl_error("%s: %s", path, strerror(errno));
		return CTL_FAILURE;
	}
	r = log_reader_init(&view->reader, map, (uint64_t)stat.st_size);
	if (r == LOG_READER_E_FOREIGN) {
		ctl_error("%s: written by another version of forkbusd, or on another kind of machine", path);
		return CTL_FAILURE;
	}
	if (r != 0) {
		ctl_error("%s: not a log of forkbusd, or a damaged one", path);
		return CTL_FAILURE;
	}
	if (view->request.since == REQUEST_SINCE_CURSOR) {
		if (view->request.epoch != view->reader.header.epoch) {
			ctl_error("--since: this cursor is of another log");
			return CTL_USAGE;
		}
		view->after_seq = view->request.seq;
	}
	return CTL_GO_ON;
}

static bool wanted(const struct log_view *view, const struct fb_event *event)
{
	if (EVENT_HAS(event, seq) && event->seq <= view->after_seq)
		return false;
	if (EVENT_HAS(event, time_usec) && event->time_usec < view->since_usec)
		return false;
	return filter_match(view->request.filter, event);
}

/*
 * The writer came round before all was read: go on at the oldest event that is left.
 * @next: the sequence number that was to come; 0 where none was read yet
 */
static int skip_overwritten(struct log_view *view, struct fb_event *event, uint64_t next)
{
	int r = LOG_READER_E_LAPPED;

	while (r == LOG_READER_E_LAPPED) {
		r = log_reader_rewind(&view->reader);
		if (r == 0)
			r = log_reader_next(&view->reader, event);
	}
	fflush(stdout);
	if (r == 0 && next > 0)
		ctl_error("%" PRIu64 " events were overwritten before they could be read", event->seq - next);
	else
		ctl_error("events were overwritten before they could be read");
	return r;
}

/* Return: as output_event(). */
static int show_event(struct output *output, const struct fb_event *event)
{
	static char line[EVENT_JSON_MAX];
	size_t len = event_json_encode(event, ~UINT64_C(0), line);
	struct forkbus_event *shown;
	int r = forkbus_event_from_json(line, len, &shown);

	if (r < 0)
		return r;
	r = output_event(output, shown);
	forkbus_event_free(shown);
	return r;
}

static int show_log(struct log_view *view, const char *path, struct output *output)
{
	uint64_t next = 0;
	struct fb_event event;
	int r;

	while (!signals_stop()) {
		r = log_reader_next(&view->reader, &event);
		if (r == LOG_READER_E_LAPPED)
			r = skip_overwritten(view, &event, next);
		if (r == LOG_READER_E_END)
			return CTL_OK;
		if (r != 0) {
			fflush(stdout);
			ctl_error("%s: damaged: nothing can be read from event %" PRIu64 " on", path, next);
			return CTL_FAILURE;
		}
		next = event.seq + 1;
		if (!wanted(view, &event))
			continue;
		r = show_event(output, &event);
		if (r != 0)
			return output_result(r);
	}
	return CTL_OK;
}

static void log_view_done(struct log_view *view)
{
	request_done(&view->request);
}

int ctl_log(struct ctl *ctl, int argc, char *argv[])
{
	_cleanup_(events_options_done) struct events_options wanted = {};
	_cleanup_(log_view_done) struct log_view view = {};
	struct output output;
	int r;

	r = events_options_parse(&wanted, ctl, argc, argv, options, help);
	if (r != CTL_GO_ON)
		return r;
	if (argc - optind != 1) {
		ctl_error("log takes one file; see --help");
		return CTL_USAGE;
	}
	r = understand(&view, wanted.request);
	if (r != CTL_GO_ON)
		return r;

	signals_init();
	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = truncated }, NULL);
	r = open_log(&view, argv[optind]);
	if (r != CTL_GO_ON)
		return r;
	r = output_init(&output, ctl->json, wanted.count);
	if (r < 0)
		return output_end(&output, output_result(r));
	return output_end(&output, show_log(&view, argv[optind], &output));
}
