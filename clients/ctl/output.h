/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events on standard output, as lines for people or as JSON, until enough were shown or the reader has gone.
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

/* output_flush() - before waiting for more. Return: 0, OUTPUT_E_CLOSED, or a negative errno. */
int output_flush(void);

/* output_result() - the exit status for what the above returned, having said what went wrong, if something did */
int output_result(int r);
