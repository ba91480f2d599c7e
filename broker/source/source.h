/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where events come from. A source reads in the broker's event loop, fills events and publishes them to the hub in
 * batches, each ended by hub_flush(). It fills the hub's table when it starts. An overrun is a loss to report and recover
 * from, never a reason to stop.
 */

#include <event2/event.h>

#include "core/hub.h"

struct source;

#define SOURCE_SENTENCE_MAX 256

/* What the administrator set, for all sources. */
struct source_options {
	uint64_t coalesce_usec; /* under load, wake up no more often than this; 0: never wait */
	uint64_t socket_buffer; /* bytes asked for each netlink socket */
	uint64_t arguments;	/* bytes of a program's arguments to tell, 0: none */
	const char *
		replay_file; /* replay: the file, and its speed: 1 as recorded, 2 twice as fast, 0 flat out */
	double replay_speed;
	bool later; /* begin to hear, but do not tell before take_over() */
};

struct source_ops {
	const char *name;   /* as in --source= and in source events */
	uint32_t supported; /* what it can tell at all, as in hub.supported */

	/*
	 * Opens what it reads and begins. Fills the table, publishes a source event. Return: 0 or a negative errno, having
	 * said in the log what was wrong.
	 */
	int (*start)(struct source **ret, struct hub *hub, struct event_base *base,
		     const struct source_options *options);
	/*
	 * The source that told before has told all that it heard, and is gone: tell from here on. What it told since
	 * @since_usec (CLOCK_BOOTTIME) was heard by both, and is not told again. NULL: it cannot be started for later.
	 */
	int (*take_over)(struct source *source, uint64_t since_usec);
	/* Tell at once what has been heard, before it is stopped. Return: up to when (CLOCK_REALTIME) all is told. */
	uint64_t (*finish)(struct source *source);
	/* hub_armed() changed. */
	void (*arm)(struct source *source);
	/* How it does, for status: adds its own keys to a JSON object. */
	void (*describe)(const struct source *source, json_t *object);
	/* Ends what start() began, saying so to the kernel. Return: NULL. */
	struct source *(*stop)(struct source *source);

	/*
	 * Would it work here, now, for this user? Changes nothing. Fills two sentences: what was found, and what would make
	 * it better ("" if nothing).
	 */
	bool (*probe)(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX]);
};

struct source {
	const struct source_ops *ops;
};

extern const struct source_ops module_source;
extern const struct source_ops connector_source;
extern const struct source_ops replay_source;
