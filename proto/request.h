/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a subscriber requests: a filter, and where to begin. In the stream protocol it is one JSON object with the keys of the
 * filter and these:
 *
 *   snapshot   true: first every living process that matches
 *   since      "EPOCH:SEQ", a cursor: all events after SEQ; or a time span before now, "-5min": all events in the log since then
 *   query      "status", without other keys: one object with the broker's status, then the connection ends
 *
 * An empty line means an empty object: everything that the subscriber may see, from now on.
 */

#include "filter.h"

enum request_since { REQUEST_SINCE_NOW, REQUEST_SINCE_CURSOR, REQUEST_SINCE_TIME };
enum request_query { REQUEST_SUBSCRIBE, REQUEST_STATUS };

struct request {
	enum request_query query;
	struct filter *filter; /* owned; NULL for a query */
	bool snapshot;
	enum request_since since;
	uint64_t epoch, seq; /* REQUEST_SINCE_CURSOR */
	uint64_t ago_usec;   /* REQUEST_SINCE_TIME */
};

/*
 * request_parse() - read a request from one line, its newline not included
 * @request: to be freed by request_done(); untouched on failure
 * Return: 0, FILTER_E_INVALID (see @error; its key is "" if the whole line is wrong), or -ENOMEM.
 */
int request_parse(struct request *request, const char *line, size_t len, struct filter_error *error);

/*
 * request_parse_object() - the same of an object, whose keys other than the filter's go; there is no query
 * Return: as request_parse().
 */
int request_parse_object(struct request *request, json_t *object, struct filter_error *error);

/*
 * request_parse_since() - read the value of "since"
 * Return: 0, or FILTER_E_INVALID, see @error.
 */
int request_parse_since(struct request *request, json_t *value, struct filter_error *error);

/* Frees what it holds and empties it; an emptied one is fine. */
void request_done(struct request *request);
