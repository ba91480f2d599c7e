/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The priorities of events in the loop. Those of a lower number come first; among them the loop looks for new events again, so
 * that a source does not wait for requests.
 */

enum {
	PRIORITY_SOURCE,   /* events to publish, signals, and the service manager */
	PRIORITY_DELIVERY, /* published events to send */
	PRIORITY_REQUEST, /* what peers ask for, and sending the past; libevent's default for four priorities */
	PRIORITY_LATE,	  /* what users ask for who had their share of the time */
	_PRIORITY_MAX,
};
