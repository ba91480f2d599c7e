// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "source/module/module.h"

/* How far apart two sources may time the same event, other than births and ends, of which there is one each. */
#define APART_USEC  (20 * USEC_PER_MSEC)
/* Records that are later than this after the seam were heard by the module alone. */
#define AFTER_USEC  (1 * USEC_PER_SEC)
/* And the log is looked through from so long before: its order is that of telling. */
#define BEFORE_USEC (1 * USEC_PER_SEC)

#define TYPES                                                                                    \
	(EVENT_TYPE_BIT(EVENT_FORK) | EVENT_TYPE_BIT(EVENT_EXEC) | EVENT_TYPE_BIT(EVENT_EXIT) |  \
	 EVENT_TYPE_BIT(EVENT_ID) | EVENT_TYPE_BIT(EVENT_COMM) | EVENT_TYPE_BIT(EVENT_SESSION) | \
	 EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE))

static int add(struct module_seam *seam, const struct fb_event *event)
{
	size_t max = seam->max ? 2 * seam->max : 256;
	struct module_told *told;

	if (seam->n == seam->max) {
		told = reallocarray(seam->told, max, sizeof(*told));
		if (!told)
			return -ENOMEM;
		seam->told = told;
		seam->max = max;
	}
	seam->told[seam->n++] = (struct module_told){
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

static bool is_it(const struct module_told *told, const struct fb_event *event)
{
	uint64_t apart = told->boot_usec > event->boot_usec ? told->boot_usec - event->boot_usec
							    : event->boot_usec - told->boot_usec;

	if (told->type != event->type || told->id.pid != event->pid)
		return false;
	if (told->id.start_usec && !event_same_start(told->id.start_usec, event->start_usec))
		return false;
	return event->type == EVENT_FORK || event->type == EVENT_EXIT || apart <= APART_USEC;
}

bool module_seam_told(struct module_seam *seam, const struct fb_event *event)
{
	if (seam->n == 0)
		return false;
	if (event->boot_usec > seam->until_usec) {
		module_seam_done(seam);
		return false;
	}
	for (size_t i = 0; !fb_event_is_thread(event) && i < seam->n; i++)
		if (is_it(&seam->told[i], event)) {
			/* In order, so that the first of two is the first told. */
			memmove(&seam->told[i], &seam->told[i + 1], (--seam->n - i) * sizeof(seam->told[0]));
			return true;
		}
	return false;
}

void module_seam_done(struct module_seam *seam)
{
	free(seam->told);
	*seam = (struct module_seam){};
}
