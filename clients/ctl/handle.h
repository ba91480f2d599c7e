/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a request, as options.h makes it, to a handle of libforkbus, or to a list of living processes; and messages and exit
 * statuses for the library's errors.
 */

#include <jansson.h>

#include "clients/lib/forkbus.h"
#include "ctl.h"

static inline void forkbus_p(struct forkbus **client)
{
	forkbus_free(*client);
}

/*
 * handle_new() - make a handle with the request's filter, snapshot and since; it is not started
 * @request: NULL: everything that the caller may see
 * Return: CTL_GO_ON; or an exit status, after a message.
 */
int handle_new(struct forkbus **ret, const struct ctl *ctl, uint64_t flags, json_t *request);

struct listed {
	struct forkbus_event *event; /* owned */
	uint64_t pid, ppid;	     /* of the event; ppid 0: unknown */
};

struct processes {
	struct listed *list; /* sorted by pid */
	size_t n;
	uint64_t boot_usec; /* time of the list, CLOCK_BOOTTIME of the initial time namespace */
};

/*
 * handle_list() - list the living processes that match a request; NULL: all that the caller may see
 * Return: CTL_GO_ON; or an exit status, after a message.
 */
int handle_list(struct processes *processes, const struct ctl *ctl, json_t *request);
void processes_done(struct processes *processes);

/* handle_explain() - print why a function of the library failed. Return: an exit status. */
int handle_explain(const struct ctl *ctl, const struct forkbus *client, int error);

/* handle_explain_request() - the same for functions that check the request: prints which option is wrong */
int handle_explain_request(const struct ctl *ctl, const struct forkbus *client, int error);
