// SPDX-License-Identifier: LGPL-2.1-or-later
#include "quiet.h"
#include "util.h"

static void quiet_release(struct quiet *quiet)
{
	struct notice notice = quiet->notice;
	struct tally tally = quiet->tally;

	quiet->tally = (struct tally){};
	if (tally.total > 1)
		tally_describe(&tally, &notice, "In quiet hours: ");
	quiet->release(&notice, &tally, quiet->userdata);
}

void quiet_update(struct quiet *quiet)
{
	time_t now = time(NULL);
	struct tm local;

	if (quiet->tally.total == 0)
		return;
	localtime_r(&now, &local);
	if (!hours_contain(quiet->hours, &local)) {
		quiet_release(quiet);
		return;
	}
	(void)sd_event_source_set_time(quiet->timer, (uint64_t)hours_end(quiet->hours, now) * USEC_PER_SEC);
	(void)sd_event_source_set_enabled(quiet->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source, (void)usec;
	quiet_update(userdata);
	return 0;
}

int quiet_init(struct quiet *quiet, sd_event *event)
{
	int r = sd_event_add_time(event, &quiet->timer, CLOCK_REALTIME, 0, USEC_PER_SEC, on_timer, quiet);

	return r < 0 ? r : sd_event_source_set_enabled(quiet->timer, SD_EVENT_OFF);
}

void quiet_done(struct quiet *quiet)
{
	quiet->timer = sd_event_source_disable_unref(quiet->timer);
}

void quiet_add(struct quiet *quiet, const struct notice *notice)
{
	if (quiet->tally.total == 0)
		quiet->notice = *notice;
	tally_add(&quiet->tally, notice);
	quiet_update(quiet);
}
