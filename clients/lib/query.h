/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Questions with one answer, which are waited for. */

#include "client.h"

struct query {
	struct wire *wire; /* which has the descriptors that came with it */
	struct reply reply;
};

/*
 * query_ask() - ask, and wait for the answer
 * @parameters: taken; NULL: there was no memory for them
 * @query: no error; to be freed by query_done()
 * Return: 0 or a negative errno, as described in forkbus.h.
 */
int query_ask(struct forkbus *client, const char *method, json_t *parameters, uint64_t timeout_usec,
	      struct query *query);

/* query_done() - free it; an empty one is fine */
void query_done(struct query *query);
