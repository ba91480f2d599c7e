/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where events come from. A source reads in the broker's event loop, fills events and publishes them to the hub in
 * batches, each ended by hub_flush(). It fills the hub's table when it starts. An overrun is a loss to report and recover
 * from, never a reason to stop.
 */

#include <event2/event.h>
#include <jansson.h>

#include "core/hub.h"
#include "json-print.h"

struct source;

#define SOURCE_SENTENCE_MAX 512

/* The configured options for all sources. */
struct source_options {
	uint64_t coalesce_usec; /* under load, wake up no more often than this; 0: never wait */
	uint64_t socket_buffer; /* bytes to request for each netlink socket */
	uint64_t arguments;	/* bytes of a program's arguments to publish, 0: none */
	const char *
		replay_file; /* replay: the file, and its speed: 1 as recorded, 2 twice as fast, 0 without waiting */
	double replay_speed;
	bool later; /* receive at once, but do not publish before take_over() */
};

struct source_ops {
	const char *name;   /* as in --source= and in source events */
	uint32_t supported; /* the types that it can publish, as in hub.supported */

	/*
	 * Open the files or sockets and start. Fills the table, publishes a source event. Return: 0 or a negative errno, after
	 * it has logged the error.
	 */
	int (*start)(struct source **ret, struct hub *hub, struct event_base *base,
		     const struct source_options *options);
	/*
	 * The previous source has published everything that it received, and is gone: publish from now on. Both sources
	 * received the events since @since_usec (CLOCK_BOOTTIME); do not publish again those that the previous one published.
	 * NULL: this source does not support source_options.later.
	 */
	int (*take_over)(struct source *source, uint64_t since_usec);
	/* Publish everything received so far, before stop(). Return: up to which time (CLOCK_REALTIME) that is. */
	uint64_t (*finish)(struct source *source);
	/* hub_armed() changed. */
	void (*arm)(struct source *source);
	/* Add the keys of this source to a JSON object, for the broker status. */
	void (*describe)(const struct source *source, struct json_builder *object);
	/* End what start() began, and notify the kernel. Return: NULL. */
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

/* source_describe_number() - for describe(): add a number to the object */
static inline void source_describe_number(struct json_builder *object, const char *key, uint64_t value)
{
	json_put(object, key, json_integer((json_int_t)value));
}

extern const struct source_ops module_source;
extern const struct source_ops connector_source;
extern const struct source_ops replay_source;
