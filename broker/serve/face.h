/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A face is an interface for subscribers: a socket with a protocol, or a message bus. All faces run in the broker's event
 * loop, and send the events that cursors (core/cursor.h) return.
 */

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/budget.h"
#include "core/hub.h"

/* The configured options for all faces. */
struct face_options {
	gid_t group;		 /* its members see all processes; (gid_t)-1: none */
	size_t request_max;	 /* bytes of a request */
	uint64_t request_usec;	 /* time to send it */
	uint64_t heartbeat_usec; /* time without events after which a subscriber gets a heartbeat */
	uint64_t coalesce_usec;	 /* under load, how long new events wait for more; 0: not at all */
};

struct face_stats {
	unsigned int connections;
	unsigned int subscribers; /* connections whose subscription was accepted */
	uint64_t sent_bytes;
};

enum face_bus { FACE_BUS_SYSTEM, FACE_BUS_USER, FACE_BUS_NONE };

/* The environment of a face. */
struct face_context {
	struct hub *hub;
	struct event_base *base;
	struct budget *budget;
	struct face_options options;
	const char *directory; /* of the sockets; not needed after new() */
	enum face_bus bus;     /* the message bus to use */

	/* A socket that the service manager opened for the face of this name, and listens on. Return: it, or -1. */
	int (*take_socket)(void *userdata, const char *name);
	/*
	 * The broker's status as JSON on one line. @forget: what is measured since the last look begins again; only for who
	 * sees all, so that nobody else hides a value. Return: a string to free(), or NULL without memory.
	 */
	char *(*status)(void *userdata, bool forget);
	/* The longest turn of the loop since the start, in µs. */
	uint64_t (*longest_turn)(void *userdata);
	/* The number of subscribers of all faces. */
	unsigned int (*count_subscribers)(void *userdata);
	void *userdata;
};

struct face;

struct face_ops {
	const char *name;

	/*
	 * Opens its socket or its bus and starts.
	 * Return: 0, with *ret NULL if the context does not request such a face; or a negative errno, after logging why.
	 */
	int (*new)(struct face **ret, const struct face_context *context);
	/* Closes all connections. Return: NULL. */
	struct face *(*free)(struct face *face);

	/* New options, for everything that begins from now on. */
	void (*set_options)(struct face *face, const struct face_options *options);
	const struct face_stats *(*stats)(const struct face *face);
	/* To be called before every wait of the loop; NULL: not needed. */
	void (*prepare)(struct face *face);
};

struct face {
	const struct face_ops *ops;
};

extern const struct face_ops stream_face;
extern const struct face_ops varlink_face;
extern const struct face_ops dbus_face;
