// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "source/module/module.h"

/* How far apart two sources may time the same event, other than births and ends, of which there is one each. */
#define APART_USEC  (20 * USEC_PER_MSEC)
/* Only the module reported records that are later than this after the seam. */
#define AFTER_USEC  (1 * USEC_PER_SEC)
/* Search the log from so long before the seam: it is in the order of publishing, not of time. */
#define BEFORE_USEC (1 * USEC_PER_SEC)

#define TYPES                                                                                    \
	(EVENT_TYPE_BIT(EVENT_FORK) | EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_EXIT) |  \
	 EVENT_TYPE_BIT(EVENT_ID) | EVENT_TYPE_BIT(EVENT_COMM) | EVENT_TYPE_BIT(EVENT_SESSION) | \
	 EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE))

static int add(struct module_seam *seam, const struct fb_event *event)
{
	size_t max = seam->max ? 2 * seam->max : 256;
	struct module_published *published;

	if (seam->n == seam->max) {
		published = reallocarray(seam->published, max, sizeof(*published));
		if (!published)
			return -ENOMEM;
		seam->published = published;
		seam->max = max;
	}
	seam->published[seam->n++] = (struct module_published){
		.type = event->type,
		.id = { event->pid, EVENT_HAS(event, start_usec) ? event->start_usec : 0 },
		.boot_usec = event->boot_usec,
	};
	return 0;
}

int module_seam_begin(struct module_seam *seam, const struct log *log, uint64_t since_usec)
{
	uint64_t boot = clock_usec(CLOCK_BOOTTIME), real = clock_usec(CLOCK_REALTIME);
	uint64_t from = log_seek_time(log, real - (boot - since_usec) - BEFORE_USEC);
	struct log_place place;
	struct fb_event event;
	int r = 0;

	seam->until_usec = boot + AFTER_USEC;
	if (log_seek(log, from, &place) != 0)
		return 0;
	while (r == 0 && log_read(log, &place, &event) == 0)
		if ((EVENT_TYPE_BIT(event.type) & TYPES) && EVENT_HAS(&event, boot_usec) &&
		    EVENT_HAS(&event, pid) && !fb_event_is_thread(&event) &&
		    event.boot_usec + APART_USEC >= since_usec)
			r = add(seam, &event);
	return r;
}

static bool is_it(const struct module_published *published, const struct fb_event *event)
{
	uint64_t apart = published->boot_usec > event->boot_usec ? published->boot_usec - event->boot_usec
								 : event->boot_usec - published->boot_usec;

	if (published->type != event->type || published->id.pid != event->pid)
		return false;
	if (published->id.start_usec && !event_same_start(published->id.start_usec, event->start_usec))
		return false;
	return event->type == EVENT_FORK || event->type == EVENT_EXIT || apart <= APART_USEC;
}

bool module_seam_published(struct module_seam *seam, const struct fb_event *event)
{
	if (seam->n == 0)
		return false;
	if (event->boot_usec > seam->until_usec) {
		module_seam_done(seam);
		return false;
	}
	for (size_t i = 0; !fb_event_is_thread(event) && i < seam->n; i++)
		if (is_it(&seam->published[i], event)) {
			/* Keep the order: of two equal events, the one published first is removed first. */
			memmove(&seam->published[i], &seam->published[i + 1],
				(--seam->n - i) * sizeof(seam->published[0]));
			return true;
		}
	return false;
}

void module_seam_done(struct module_seam *seam)
{
	free(seam->published);
	*seam = (struct module_seam){};
}
