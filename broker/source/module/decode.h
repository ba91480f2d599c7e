/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Decode the messages of the kernel module (proto/forkbus_netlink.h) into structs. The length of every attribute is checked
 * before its content is read. Attributes of a newer module are ignored.
 */

#include <libmnl/libmnl.h>

#include "event.h"
#include "forkbus_netlink.h"

enum {
	_MODULE_E_SUCCESS,
	MODULE_E_OTHER,	    /* not of this kind, or of one that is not known */
	MODULE_E_MALFORMED, /* cut, or a required part is missing */
};

/* A record. @seq is set whenever it could be read, so that a record that cannot be used does not count as lost. */
struct module_record {
	uint64_t seq; /* 0: could not be read */
	uint32_t type;
	uint64_t nsec;	     /* CLOCK_BOOTTIME */
	uint64_t first;	     /* of the numbers that it covers: the missing ones for LOST, otherwise @seq */
	uint64_t since_nsec; /* LOST */
	uint32_t mask;	     /* ARMED */
	bool has_tty;
	uint32_t tty; /* device, 0: none */

	/*
	 * All other fields. Times in µs, texts within the message; timeUsec, tty and fields that follow from a path are not
	 * set.
	 */
	struct fb_event event;
};

/*
 * module_record_decode() - one FORKBUS_A_RECORD
 * Return: 0; MODULE_E_OTHER: a type that is not known; MODULE_E_MALFORMED.
 */
int module_record_decode(struct module_record *record, const struct nlattr *nest);

/* module_event_type() - the event type for a record type. Return: EVENT_NONE if the record is not an event. */
enum event_type module_event_type(uint32_t type);

/* module_mask() - convert a mask of the hub (types, and HUB_ARMED_THREADS) to the module's */
uint32_t module_mask(uint32_t armed);
/* module_armed() - convert a mask of the module to the hub's */
uint32_t module_armed(uint32_t mask);

#define MODULE_VERSION_MAX 64

struct module_status {
	char version[MODULE_VERSION_MAX];
	uint64_t instance; /* never 0 */
	uint32_t supported, armed;
	uint32_t ring_size, ring_used;
	uint64_t first, last, sent;
	uint32_t listeners, grace;
	uint64_t lost[__FORKBUS_TYPE_MAX]; /* by type */
};

/* module_status_decode() - the answer to STATUS. Return: 0, MODULE_E_OTHER, MODULE_E_MALFORMED. */
int module_status_decode(struct module_status *status, const struct nlmsghdr *message, uint16_t family);

/* A message with records: its own attributes. */
struct module_message {
	uint64_t instance;
	bool has_range; /* the first of a replay */
	uint64_t first, last;
};

/* module_message_decode() - a message of events. Return: 0, MODULE_E_OTHER, MODULE_E_MALFORMED. */
int module_message_decode(struct module_message *decoded, const struct nlmsghdr *message, uint16_t family);

/* module_record_next() - the record of such a message after @record, NULL: the first. Return: NULL if there is none. */
const struct nlattr *module_record_next(const struct nlmsghdr *message, const struct nlattr *record);
