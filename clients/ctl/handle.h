/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a request, as options.h makes it, to a handle of libforkbus, and to the list of processes that live; and what errors of
 * the library mean at a command line.
 */

#include <jansson.h>

#include "clients/lib/forkbus.h"
#include "ctl.h"

static inline void forkbus_p(struct forkbus **client)
{
	forkbus_free(*client);
}

/*
 * handle_new() - a handle with the request's filter, snapshot and since; not started
 * @request: NULL: all that the caller may see
 * Return: CTL_GO_ON; or an exit status, after a message.
 */
int handle_new(struct forkbus **ret, const struct ctl *ctl, uint64_t flags, json_t *request);

struct listed {
	struct forkbus_event *event; /* owned */
	uint64_t pid, ppid;	     /* its; ppid 0: not known */
};

struct processes {
	struct listed *list; /* by pid */
	size_t n;
	uint64_t boot_usec; /* CLOCK_BOOTTIME when it was made */
};

/*
 * handle_list() - the processes that live and match a request; NULL: all that the caller may see
 * Return: CTL_GO_ON; or an exit status, after a message.
 */
int handle_list(struct processes *processes, const struct ctl *ctl, json_t *request);
void processes_done(struct processes *processes);

/* handle_explain() - say why a function of the library failed. Return: the exit status that it means. */
int handle_explain(const struct ctl *ctl, const struct forkbus *client, int error);

/* handle_explain_request() - the same of a function that looks at the request: names the option that is wrong */
int handle_explain_request(const struct ctl *ctl, const struct forkbus *client, int error);
