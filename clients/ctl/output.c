// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdio_ext.h>
#include <string.h>

#include "base/cleanup.h"
#include "output.h"
#include "signals.h"

int output_init(struct output *output, enum ctl_json json, uint64_t count)
{
	/* Whole batches go out at once, in output_flush(). glibc does not heed a size that comes without its buffer. */
	static char buffer[64 * 1024];

	*output = (struct output){ .json = json, .left = count };
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	term_init(&output->term, STDOUT_FILENO);
	return format_new(&output->format, &output->term);
}

/* errno is of the write that failed: nothing else comes between it and this. */
static int output_check(void)
{
	if (!ferror(stdout))
		return 0;
	return errno == EPIPE ? OUTPUT_E_CLOSED : -errno;
}

static int put_pretty(struct output *output, const char *line, size_t len)
{
	json_auto_t *object = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	_cleanup_free_ char *text = NULL;

	if (!object)
		return -EBADMSG;
	text = json_dumps(object, JSON_INDENT(2));
	if (!text)
		return -ENOMEM;
	if (output->term.tty)
		term_escape_json(stdout, text, strlen(text));
	else
		fputs(text, stdout);
	fputc('\n', stdout);
	return output_check();
}

static int put_json(struct output *output, const char *line, size_t len)
{
	if (output->json == CTL_JSON_PRETTY)
		return put_pretty(output, line, len);
	if (output->term.tty)
		term_escape_json(stdout, line, len);
	else
		fwrite(line, 1, len, stdout);
	fputc('\n', stdout);
	return output_check();
}

static int output_count(struct output *output)
{
	if (output->left == OUTPUT_ALL || --output->left > 0)
		return 0;
	return OUTPUT_E_ENOUGH;
}

static void output_head(struct output *output)
{
	if (signals_resized())
		term_resize(&output->term, STDOUT_FILENO);
	if (!output->headed && output->term.tty)
		format_header(output->format, stdout);
	output->headed = true;
}

/* Is it sent whatever the filter is? */
static bool is_always_sent(enum forkbus_type type)
{
	return type == FORKBUS_TYPE_SOURCE || type == FORKBUS_TYPE_LOST || type == FORKBUS_TYPE_READY;
}

int output_event(struct output *output, const struct forkbus_event *event)
{
	_cleanup_free_ char *line = NULL;
	size_t len;
	int r;

	if (output->json == CTL_JSON_OFF) {
		output_head(output);
		format_event(output->format, stdout, event);
		r = output_check();
	} else {
		r = forkbus_event_to_json(event, 0, &line, &len);
		if (r == 0)
			r = put_json(output, line, len);
	}
	if (r != 0 || is_always_sent(forkbus_event_get_type(event)))
		return r;
	return output_count(output);
}

int output_flush(void)
{
	fflush(stdout);
	return output_check();
}

int output_result(int r)
{
	if (r == -EINTR && signals_stop())
		return CTL_OK;
	if (r >= 0)
		return CTL_OK;
	ctl_error("cannot write the output: %s", strerror(-r));
	return CTL_FAILURE;
}

int output_end(struct output *output, int status)
{
	int r = 0;

	/* What a reader that is stuck did not take when we were asked to end must not hold us up at exit. */
	if (ferror(stdout))
		__fpurge(stdout);
	else
		r = output_flush();
	output->format = format_free(output->format);
	return status == CTL_OK ? output_result(r) : status;
}
