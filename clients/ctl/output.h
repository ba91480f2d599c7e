/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events on standard output, as lines for people or as JSON, until enough were shown, the reader has gone, or a signal ends
 * it, which it does between two lines.
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
	uint64_t left; /* how many events are still wanted */
	bool headed;
};

#define OUTPUT_ALL UINT64_MAX

enum {
	_OUTPUT_E_SUCCESS,
	OUTPUT_E_ENOUGH, /* that was the last one wanted */
	OUTPUT_E_CLOSED, /* its reader has gone */
};

/* output_init() - @count: how many events are wanted, or OUTPUT_ALL. Return: 0 or -ENOMEM. */
int output_init(struct output *output, enum ctl_json json, uint64_t count);
/* output_end() - what is left goes out, and all is freed. Return: @status, or that of a failure to write. */
int output_end(struct output *output, int status);

/*
 * output_event() - show one event
 * Source, lost and ready are shown, and not counted.
 * Return: 0, OUTPUT_E_ENOUGH, OUTPUT_E_CLOSED, or a negative errno.
 */
int output_event(struct output *output, const struct forkbus_event *event);

/* output_result() - the exit status for what the above returned, having said what went wrong, if something did */
int output_result(int r);

/* output_catch_signals() - SIGINT and SIGTERM are noted, SIGWINCH too, SIGPIPE becomes an error of write(2) */
void output_catch_signals(void);
/* Has a signal asked to end? */
bool output_stopped(void);

/*
 * output_wait() - before more is shown: write out what there is, and wait until @client has something to do or a signal comes
 * @out: whose reader is not to leave meanwhile; -1: that does not matter
 * Return: CTL_GO_ON; or an exit status: the reader has left, or something went wrong, after a message.
 */
int output_wait(struct forkbus *client, int out);

/*
 * output_follow() - show the events of a handle that was started, and on standard error that its broker left and came back
 * Return: an exit status; or CTL_GO_ON: the library failed, with *@error; -ECONNRESET: before anything was accepted.
 */
int output_follow(struct output *output, struct forkbus *client, int *error);
