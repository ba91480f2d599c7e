/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which types of events the source should report: those that are always needed, and those that subscribers or the
 * configuration want. What is wanted is armed at once, and disarmed late, each type by itself: so filters that come and go,
 * however often, cause at most one source event for arming a type, and one for disarming it, in ARMING_USEC.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "event.h"

/*
 * Event types that are always armed, because the history and the table need them. Filters of subscribers that see all can
 * add chroot, coredump and ptrace, and events of threads, which do not have a separate type; so can the configuration.
 */
#define HUB_ARMED_ALWAYS                                                                        \
	(EVENT_TYPE_BIT(EVENT_FORK) | EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_EXIT) | \
	 EVENT_TYPE_BIT(EVENT_ID) | EVENT_TYPE_BIT(EVENT_COMM) | EVENT_TYPE_BIT(EVENT_SESSION))
#define HUB_ARMED_THREADS EVENT_TYPE_BIT(EVENT_NONE)
#define HUB_ARMED_EXTRA                                                                                 \
	(EVENT_TYPE_BIT(EVENT_CHROOT) | EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE) | \
	 HUB_ARMED_THREADS)

/* How long a type stays armed when nobody wants it any more. */
#define ARMING_USEC (10 * USEC_PER_SEC)

struct arming {
	uint32_t supported; /* by the source */
	uint32_t wanted;    /* by the configuration */
	uint32_t armed;
	uint64_t until
		[_EVENT_TYPE_MAX]; /* CLOCK_MONOTONIC: when to disarm a type; 0: it is wanted, or not armed */
	uint64_t due;		   /* the earliest of them, as arming_update() returned it */
};

void arming_init(struct arming *arming);

/* arming_set_supported() - another source: what is wanted of it is armed, and nothing else */
void arming_set_supported(struct arming *arming, uint32_t supported, uint32_t wanted);

/*
 * arming_update() - @wanted: by subscribers
 * @later: false: types are disarmed at once
 * @wait_usec: set to the time after which to call it again; 0: never, or the time that was returned before
 * Return: whether the armed types have changed.
 */
bool arming_update(struct arming *arming, uint32_t wanted, bool later, uint64_t now_usec,
		   uint64_t *wait_usec);

/* arming_print() - the armed types as words, separated by spaces. Return: @buf. */
const char *arming_print(const struct arming *arming, char buf[static EVENT_TEXT_MAX]);
