// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio_ext.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "json-print.h"
#include "output.h"

static volatile sig_atomic_t stop, resized;

/*
 * The handler is set without SA_RESTART, so that the signal interrupts a write to a full pipe, too. But stdio repeats a
 * write that was only partly done, and a write may begin after the last check of @stop. So SIGALRM interrupts again.
 */
static void take_stop(int number)
{
	(void)number;
	stop = 1;
	alarm(1);
}

static void take_resized(int number)
{
	(void)number;
	resized = 1;
}

void output_catch_signals(void)
{
	/* The handler is removed by the first signal: a second one kills. */
	const struct sigaction noted = { .sa_handler = take_stop, .sa_flags = (int)SA_RESETHAND };
	const struct sigaction again = { .sa_handler = take_stop };
	const struct sigaction restarted = { .sa_handler = take_resized, .sa_flags = SA_RESTART };
	const struct sigaction ignored = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &noted, NULL);
	sigaction(SIGTERM, &noted, NULL);
	sigaction(SIGALRM, &again, NULL);
	sigaction(SIGWINCH, &restarted, NULL);
	sigaction(SIGPIPE, &ignored, NULL);
}

bool output_stopped(void)
{
	return stop;
}

int output_init(struct output *output, enum ctl_json json, uint64_t count)
{
	/* Whole batches are written at once, in output_wait(). glibc ignores a size without a buffer. */
	static char buffer[64 * 1024];

	*output = (struct output){ .json = json, .left = count };
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	term_init(&output->term, STDOUT_FILENO);
	return format_new(&output->format, &output->term);
}

/* Called while errno is still that of the failed write. */
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
	text = json_print(object, JSON_INDENT(2), NULL);
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
	if (resized) {
		resized = 0;
		term_resize(&output->term, STDOUT_FILENO);
	}
	if (!output->headed && output->term.tty)
		format_header(output->format, stdout);
	output->headed = true;
}

/* Is this type sent whatever the filter is? */
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

static int output_flush(void)
{
	fflush(stdout);
	return output_check();
}

int output_result(int r)
{
	if (r == -EINTR && stop)
		return CTL_OK;
	if (r >= 0)
		return CTL_OK;
	ctl_error("cannot write the output: %s", strerror(-r));
	return CTL_FAILURE;
}

/* Compute the time that is left. Return: NULL if there is no limit. */
static const struct timespec *time_left(struct timespec *left, uint64_t until_usec)
{
	uint64_t now_usec, usec;

	if (until_usec == UINT64_MAX)
		return NULL;
	now_usec = clock_usec(CLOCK_MONOTONIC);
	usec = until_usec > now_usec ? until_usec - now_usec : 0;
	left->tv_sec = (time_t)(usec / USEC_PER_SEC);
	left->tv_nsec = (long)(usec % USEC_PER_SEC * NSEC_PER_USEC);
	return left;
}

/* Return: 0, OUTPUT_E_CLOSED, or a negative errno; -EINTR for any signal. */
static int wait_for(int fd, int out, uint64_t until_usec)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = out } };
	struct timespec left;
	sigset_t mask, old;
	int r = -EINTR;

	/* Signals are blocked from the check of @stop to the wait, so that none is missed in between. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGWINCH);
	sigprocmask(SIG_BLOCK, &mask, &old);
	if (!stop)
		r = ppoll(fds, 2, time_left(&left, until_usec), &old) < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);

	if (r < 0)
		return r;
	return fds[1].revents & (POLLERR | POLLHUP | POLLNVAL) ? OUTPUT_E_CLOSED : 0;
}

int output_wait(struct forkbus *client, int out)
{
	uint64_t until;
	int r = output_flush();

	if (r != 0)
		return output_result(r);
	forkbus_get_timeout(client, &until);
	r = wait_for(forkbus_get_fd(client), out, until);
	if (r == 0 || r == -EINTR)
		return CTL_GO_ON;
	if (r == OUTPUT_E_CLOSED)
		return CTL_OK;
	ctl_error("%s", strerror(-r));
	return CTL_FAILURE;
}

static int show(struct output *output, const struct forkbus_event *event)
{
	int r = output_event(output, event);

	return r == 0 ? CTL_GO_ON : output_result(r);
}

int output_follow(struct output *output, struct forkbus *client, int *error)
{
	const struct forkbus_event *event;
	bool accepted = false;
	int r = CTL_GO_ON;

	while (r == CTL_GO_ON) {
		if (stop)
			return CTL_OK;
		*error = forkbus_process(client, &event);
		switch (*error) {
		case FORKBUS_EVENT:
			accepted = true;
			r = show(output, event);
			break;
		case FORKBUS_NOTHING:
			r = output_wait(client, STDOUT_FILENO);
			break;
		case FORKBUS_DISCONNECTED:
			if (!accepted) {
				*error = -ECONNRESET;
				return CTL_GO_ON;
			}
			ctl_error("the broker closed the connection; waiting for it to come back");
			break;
		case FORKBUS_RECONNECTED:
			ctl_error("the broker is back");
			break;
		default:
			if (*error < 0)
				return CTL_GO_ON;
		}
	}
	return r;
}

int output_end(struct output *output, int status)
{
	int r = 0;

	/* Discard the rest, so that exit() does not block on a reader that does not read. */
	if (ferror(stdout))
		__fpurge(stdout);
	else
		r = output_flush();
	output->format = format_free(output->format);
	return status == CTL_OK ? output_result(r) : status;
}
