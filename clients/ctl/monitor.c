// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "client.h"
#include "event-json.h"
#include "events-options.h"
#include "output.h"
#include "signals.h"
#include "util.h"

static const char help[] =
	"forkbusctl monitor [OPTIONS...]\n"
	"\n"
	"Show what processes do, as it happens.\n"
	"\n" EVENTS_HELP_FILTER "  --tree=PID[@START]        of a process and all its descendants\n"
	"  --snapshot                first all processes that live and match\n" EVENTS_HELP_OUTPUT "\n"
	"Options:\n" CTL_HELP_RUNTIME_DIR CTL_HELP_COMMON;

static const struct option options[] = {
	CTL_OPTIONS, CTL_OPTIONS_JSON, FILTER_OPTIONS, { "lines", required_argument, NULL, 'n' }, {}
};

/* Return: an exit status or CTL_GO_ON. */
static int show_line(struct output *output, const char *line, size_t len)
{
	static struct event_store store;
	_cleanup_json_ json_t *object = NULL;
	_cleanup_free_ char *refusal = NULL;
	struct fb_event event;
	int r, status;

	if (event_json_decode(&event, &store, line, len) == 0) {
		r = output_event(output, &event, line, len);
		return r == 0 ? CTL_GO_ON : output_result(r);
	}
	object = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(object)) {
		ctl_error("the broker sent a line that is not JSON");
		return CTL_FAILURE;
	}
	refusal = client_refusal(object, &status);
	if (refusal) {
		ctl_error("%s", refusal);
		return status;
	}
	/* Of a broker that knows more types than this program. */
	r = output_unknown(output, line, len);
	return r == 0 ? CTL_GO_ON : output_result(r);
}

/* Return: an exit status or CTL_GO_ON. */
static int wait_for_more(struct client *client)
{
	int r = output_flush();

	if (r != 0)
		return output_result(r);
	r = signals_wait(client_fd(client), STDOUT_FILENO);
	if (r == SIGNALS_E_CLOSED)
		return CTL_OK;
	if (r == 0)
		r = client_fill(client);
	if (r == -EINTR)
		return signals_stop() ? CTL_OK : CTL_GO_ON;
	if (r == CLIENT_E_END || r == -ECONNRESET) {
		ctl_error("the broker closed the connection");
		return CTL_FAILURE;
	}
	if (r < 0) {
		ctl_error("connection to the broker lost: %s", strerror(-r));
		return CTL_FAILURE;
	}
	return CTL_GO_ON;
}

static int monitor(struct client *client, struct output *output)
{
	int r = CTL_GO_ON;

	while (r == CTL_GO_ON) {
		char *line;
		size_t len;

		if (signals_stop())
			return CTL_OK;
		r = client_line(client, &line, &len);
		if (r == 0) {
			r = show_line(output, line, len);
		} else if (r == CLIENT_E_MORE) {
			r = wait_for_more(client);
		} else {
			ctl_error("the broker sent a line that is too long");
			r = CTL_FAILURE;
		}
	}
	return r;
}

int ctl_monitor(struct ctl *ctl, int argc, char *argv[])
{
	_cleanup_(client_p) struct client *client = NULL;
	_cleanup_(events_options_done) struct events_options wanted = {};
	struct output output;
	int r;

	r = events_options_parse(&wanted, ctl, argc, argv, options, help);
	if (r == CTL_GO_ON)
		r = ctl_no_arguments(argc, argv);
	if (r != CTL_GO_ON)
		return r;

	r = client_connect(&client, ctl->runtime_dir, wanted.request);
	if (r < 0) {
		client_explain(ctl->runtime_dir, r);
		return CTL_FAILURE;
	}
	signals_init();
	r = output_init(&output, ctl->json, wanted.count);
	if (r < 0)
		return output_end(&output, output_result(r));
	return output_end(&output, monitor(client, &output));
}
