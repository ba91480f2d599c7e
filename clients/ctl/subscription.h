/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a request, as options.h makes it, to a handle of libforkbus; and what its errors mean at a command line.
 */

#include <jansson.h>

#include "clients/lib/forkbus.h"
#include "ctl.h"

static inline void forkbus_p(struct forkbus **client)
{
	forkbus_free(*client);
}

/*
 * subscription_new() - a handle with the request's filter, snapshot and since; not started
 * @request: NULL: all that the caller may see
 * Return: CTL_GO_ON; or an exit status, after a message.
 */
int subscription_new(struct forkbus **ret, const struct ctl *ctl, uint64_t flags, json_t *request);

/* subscription_explain_request() - the same of a function that looks at the request: names the option that is wrong */
int subscription_explain_request(const struct ctl *ctl, const struct forkbus *client, int error);

/* subscription_explain() - say why a function of the library failed. Return: the exit status that it means. */
int subscription_explain(const struct ctl *ctl, const struct forkbus *client, int error);
