// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl.h"
#include "fields.h"
#include "handle.h"
#include "options.h"
#include "output.h"

static const char help[] =
	"forkbusctl log [OPTIONS...] FILE\n"
	"\n"
	"Show the events in a log, whether its broker runs or not. It is RUNTIME_DIR/log.\n"
	"\n" EVENTS_HELP_FILTER EVENTS_HELP_OUTPUT "\n"
	"Options:\n" CTL_HELP_COMMON "\n"
	"A log does not know which processes live: --pid needs PID@START, and --tree and\n"
	"--snapshot are for monitor alone.\n";

static const struct option options[] = {
	CTL_OPTIONS, CTL_OPTIONS_JSON, FILTER_OPTIONS, { "lines", required_argument, NULL, 'n' }, {}
};

static void log_p(struct forkbus_log **log)
{
	forkbus_log_free(*log);
}

static int explain(const struct ctl *ctl, const struct forkbus *client, const char *path, int error)
{
	if (forkbus_get_error(client))
		return handle_explain_request(ctl, client, error);
	if (error == -EPROTONOSUPPORT)
		ctl_error("%s: written by another version of forkbusd, or on another kind of machine", path);
	else if (error == -EBADMSG)
		ctl_error("%s: not a log of forkbusd, or a damaged one", path);
	else
		ctl_error("%s: %s", path, strerror(-error));
	return CTL_FAILURE;
}

/* Return: an exit status or CTL_GO_ON. */
static int open_log(struct forkbus_log **ret, const struct ctl *ctl, struct forkbus *client, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r = fd < 0 ? -errno : forkbus_read_log(client, fd, ret);

	return r < 0 ? explain(ctl, client, path, r) : CTL_GO_ON;
}

/* A loss that is stored in the log has a number. One without happened here: the writer was faster than the reader. */
static bool was_overwritten(const struct forkbus_event *event)
{
	return forkbus_event_get_type(event) == FORKBUS_TYPE_LOST && !HAS(event, SEQ);
}

static int explain_damage(struct forkbus_log *log, const char *path, int error)
{
	const char *cursor = forkbus_log_get_cursor(log);

	fflush(stdout);
	if (error == -EBADMSG)
		ctl_error("%s: damaged: no event after %s can be read", path, strchr(cursor, ':') + 1);
	else
		ctl_error("%s: %s", path, strerror(-error));
	return CTL_FAILURE;
}

static int show_log(struct forkbus_log *log, const char *path, struct output *output)
{
	const struct forkbus_event *event;
	int r;

	while (!output_stopped()) {
		r = forkbus_log_next(log, &event);
		if (r == 0)
			return CTL_OK;
		if (r < 0)
			return explain_damage(log, path, r);
		if (was_overwritten(event)) {
			fflush(stdout);
			ctl_error("%" PRIu64 " events were overwritten before they could be read",
				  UINT(event, COUNT));
			continue;
		}
		r = output_event(output, event);
		if (r != 0)
			return output_result(r);
	}
	return CTL_OK;
}

int ctl_log(struct ctl *ctl, int argc, char *argv[])
{
	_cleanup_(options_done) struct options wanted = {};
	_cleanup_(forkbus_p) struct forkbus *client = NULL;
	_cleanup_(log_p) struct forkbus_log *log = NULL;
	struct output output;
	int r;

	r = options_parse(&wanted, ctl, argc, argv, options, help);
	if (r != CTL_GO_ON)
		return r;
	if (argc - optind != 1) {
		ctl_error("log takes one file; see --help");
		return CTL_USAGE;
	}
	r = handle_new(&client, ctl, 0, wanted.request);
	if (r != CTL_GO_ON)
		return r;

	output_catch_signals();
	r = open_log(&log, ctl, client, argv[optind]);
	if (r != CTL_GO_ON)
		return r;
	r = output_init(&output, ctl->json, wanted.count);
	if (r < 0)
		return output_end(&output, output_result(r));
	return output_end(&output, show_log(log, argv[optind], &output));
}
