/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Prints events on standard output, as lines for people or as JSON, until enough were shown, the reader has closed the pipe,
 * or a signal arrives. A signal takes effect between two lines.
 */

#include <stdint.h>

#include "clients/lib/forkbus.h"
#include "ctl.h"
#include "format.h"
#include "term.h"

struct output {
	enum ctl_json json;
	struct term term;
	struct format *format;
	uint64_t left; /* how many events are still to be shown */
	bool headed;
};

#define OUTPUT_ALL UINT64_MAX

enum {
	_OUTPUT_E_SUCCESS,
	OUTPUT_E_ENOUGH, /* this was the last event to show */
	OUTPUT_E_CLOSED, /* the reader has closed the pipe */
};

/* output_init() - @count: how many events to show, or OUTPUT_ALL. Return: 0 or -ENOMEM. */
int output_init(struct output *output, enum ctl_json json, uint64_t count);
/* output_end() - write buffered output, and free all. Return: @status, or CTL_FAILURE if writing failed. */
int output_end(struct output *output, int status);

/*
 * output_event() - show one event
 * Source, lost and ready are shown, but not counted.
 * Return: 0, OUTPUT_E_ENOUGH, OUTPUT_E_CLOSED, or a negative errno.
 */
int output_event(struct output *output, const struct forkbus_event *event);

/* output_result() - print a message if output_event() failed. Return: the exit status for its result. */
int output_result(int r);

/* output_catch_signals() - record SIGINT, SIGTERM and SIGWINCH, ignore SIGPIPE: write(2) fails instead */
void output_catch_signals(void);
/* Has SIGINT or SIGTERM arrived? */
bool output_stopped(void);

/*
 * output_wait() - write buffered output, then wait until @client has something to do or a signal arrives
 * @out: also watch this descriptor for a closed reader; -1: do not
 * Return: CTL_GO_ON; or an exit status: the reader has closed the pipe, or there was an error, after a message.
 */
int output_wait(struct forkbus *client, int out);

/*
 * output_follow() - show the events of a started handle; report on standard error when the broker goes and comes back
 * Return: an exit status; or CTL_GO_ON: the library failed, with *@error; -ECONNRESET: before anything was accepted.
 */
int output_follow(struct output *output, struct forkbus *client, int *error);
