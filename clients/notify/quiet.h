/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What came in quiet hours: one notice of all of it, when they are over.
 */

#include <systemd/sd-event.h>

#include "hours.h"
#include "tally.h"

struct quiet {
	const struct hours *hours;
	sd_event_source *timer;
	struct tally tally;
	struct notice notice; /* the first one */
	void (*release)(const struct notice *notice, const struct tally *tally, void *userdata);
	void *userdata;
};

/* quiet_init() - @quiet: hours, release and userdata are set. Return: 0 or a negative errno. */
int quiet_init(struct quiet *quiet, sd_event *event);

void quiet_done(struct quiet *quiet);

void quiet_add(struct quiet *quiet, const struct notice *notice);

/* quiet_update() - the hours may be others now, or over */
void quiet_update(struct quiet *quiet);
