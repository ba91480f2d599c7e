/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A filter: which events a subscriber wants. One grammar for all faces, a JSON object; keys are ANDed, the values within
 * a key ORed, an event without a key's field does not match. A key's value is one value or an array of them (not empty),
 * of tree, minElapsedUsec and threads one value.
 *
 *   types           event type names ("fork", …; not "process", "ready", "heartbeat", which belong to the answer)
 *   pids            process ids. A bare one means the process that lives now; {"pid": 1, "startUsec": 2} means any. A
 *                   start is the same as event_start_means() says; where the event or the filter has none, pid decides
 *   tree            one process, as in pids: itself and all its descendants
 *   uids            real user ids; an id event matches by its old one too
 *   comm, exe, cgroup, unit   glob patterns (see pattern.h: as fnmatch(3) without flags, byte by byte, * matches / too)
 *   status          "any", "success" (code 0), "failure" (another code, or a signal), "signal"
 *   minElapsedUsec  one integer: only events with usage.elapsedUsec of at least it
 *   threads         true: events of threads other than the leader too (false is the same as absent)
 *
 * source, lost, ready and heartbeat always match. Events of threads match only with "threads". The process events of a
 * snapshot pass any types, and have to match the other keys. Texts are matched as far as the log keeps them.
 */

#include <jansson.h>

#include "event.h"
#include "pattern.h"
#include "process-id.h"

enum filter_status {
	FILTER_STATUS_ANY = 1 << 0,
	FILTER_STATUS_SUCCESS = 1 << 1,
	FILTER_STATUS_FAILURE = 1 << 2,
	FILTER_STATUS_SIGNAL = 1 << 3,
};

/* Sorted, without doubles. */
struct filter_globs {
	struct pattern **patterns;
	size_t n;
};

struct filter {
	uint32_t types; /* mask of EVENT_TYPE_BIT(), 0: all; source and lost only where nothing else */
	/* A start of 0: a bare pid, to be resolved with the table of live processes. */
	struct process_id *pids; /* sorted by pid */
	size_t n_pids;
	bool has_tree;
	struct process_id tree;
	uint32_t *uids;
	size_t n_uids;
	struct filter_globs comm, exe, cgroup, unit;
	size_t cost;	     /* pattern_cost() of all */
	unsigned int status; /* mask of enum filter_status; 0: not asked */
	bool has_min_elapsed;
	uint64_t min_elapsed_usec;
	bool threads;
};

/* What is wrong with a request: the key, and a sentence for people. Both are valid UTF-8. */
struct filter_error {
	char key[64];
	char detail[256];
};

/* Limits on what a subscriber may make the broker keep and match. */
#define FILTER_VALUES_MAX	1024	     /* in one key */
#define FILTER_PATTERN_MAX	PATTERN_MAX  /* bytes */
#define FILTER_PATTERN_COST_MAX 128	     /* pattern_cost() of all patterns of a filter */
#define FILTER_SIZE_MAX		(128 * 1024) /* filter_size() */

enum {
	_FILTER_E_SUCCESS,
	FILTER_E_INVALID, /* see struct filter_error */
};

/*
 * filter_refuse() - fill an error
 * What does not fit is cut, and what is no UTF-8 replaced, so @key and the arguments may be what a subscriber sent.
 * Return: FILTER_E_INVALID.
 */
int filter_refuse(struct filter_error *error, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* All keys of a filter, for messages. */
#define FILTER_KEYS "types, pids, tree, uids, comm, exe, cgroup, unit, status, minElapsedUsec, threads"

/* filter_has_key() - is it one of them? */
bool filter_has_key(const char *key);

/*
 * filter_parse() - read a filter from a JSON object
 * @ret: the filter, to be freed by filter_free(); untouched on failure
 * @error: filled where FILTER_E_INVALID is returned
 * Return: 0, FILTER_E_INVALID, or -ENOMEM.
 */
int filter_parse(struct filter **ret, json_t *object, struct filter_error *error);

/* filter_size() - the bytes of memory that it takes */
size_t filter_size(const struct filter *filter);

/* filter_pids_sort() - back to the normal order, without doubles, after pids were resolved */
void filter_pids_sort(struct filter *filter);

/* NULL is fine. Return: NULL. */
struct filter *filter_free(struct filter *filter);

/*
 * filter_print() - the normal form
 * A JSON object with keys in a fixed order, values sorted and without doubles, defaults left out: filters that
 * want the same print the same (call it after pids are resolved), and parsing it gives the same filter again.
 * Return: a string to free(), or NULL without memory.
 */
char *filter_print(const struct filter *filter);

/*
 * filter_match() - does an event match all keys but tree?
 * tree has a state: the caller that keeps the state checks it as well. Allocates nothing.
 */
bool filter_match(const struct filter *filter, const struct fb_event *event);
