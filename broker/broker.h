/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker: connects source, core and faces and runs them in one event loop.
 */

#include <event2/event.h>

#include "config.h"
#include "core/budget.h"
#include "core/hub.h"
#include "core/owners.h"
#include "faces.h"
#include "options.h"
#include "place.h"
#include "service.h"
#include "sources.h"
#include "turn.h"

struct broker {
	const struct options *options;
	struct config config;
	gid_t group;	       /* its members see all processes */
	uint64_t started_usec; /* CLOCK_REALTIME */

	struct event_base *base;
	struct hub *hub;
	struct owners *owners;
	struct budget *budget;
	struct sources *sources;
	struct faces *faces;
	struct service *service;
	struct place *place; /* NULL: not watched */
	int result;	     /* why the loop has ended: 0 or a negative errno */

	struct event *flush, *wake, *rearm, *unfold; /* hub_flush(), hub_wake(), hub_rearm(), hub_unfold() */
	struct turn turn;
};

/*
 * status_print() - the status as JSON on one line
 * @forget: begin again to measure what is measured since the last look. Return: a string to free(), or NULL without memory.
 */
char *status_print(struct broker *broker, bool forget);

/*
 * broker_run() - begin, report readiness, serve until SIGTERM or SIGINT, or until its sockets are removed, end cleanly
 * @ready: called once clients can connect
 * Return: 0, or a negative errno after logging why.
 */
int broker_run(const struct options *options, const struct config *config, void (*ready)(void));
