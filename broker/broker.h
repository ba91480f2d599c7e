/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker as a whole: wires source, core and faces together and runs them in one event loop.
 */

#include <event2/event.h>

#include "config.h"
#include "core/budget.h"
#include "core/hub.h"
#include "options.h"
#include "serve/dbus/dbus.h"
#include "serve/stream/stream.h"
#include "serve/varlink/varlink.h"
#include "service.h"
#include "sources.h"

struct broker {
	const struct options *options;
	struct config config;
	gid_t group;	       /* whose members see all */
	uint64_t started_usec; /* CLOCK_REALTIME */

	struct event_base *base;
	struct hub *hub;
	struct budget *budget;
	struct sources *sources;
	struct stream *stream;
	struct varlink *varlink;
	struct dbus *dbus; /* NULL: not on a message bus */

	struct service *service;

	struct event *flush, *wake; /* hub_flush(), hub_wake() */
};

/* The sum of all faces. */
struct face_stats broker_faces(const struct broker *broker);

/*
 * broker_run() - begin, tell that it is ready, serve until SIGTERM or SIGINT, end cleanly
 * @ready: called once subscribers can come
 * Return: 0, or a negative errno after saying what was wrong.
 */
int broker_run(const struct options *options, const struct config *config, void (*ready)(void));
