// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/message.h"
#include "watch.h"

/* How many items are read before the loop handles other sources. */
#define WATCH_ITEMS 64

struct watch {
	struct forkbus *bus;
	sd_event_source *io, *timer;
	void (*take)(struct watch *watch, int item, const struct forkbus_event *event, void *userdata);
	void *userdata;
};

/* The rest is read in the next iteration: the descriptor stays readable, or the timeout is over. */
static int watch_drain(struct watch *watch)
{
	const struct forkbus_event *event;

	for (int i = 0; i < WATCH_ITEMS; i++) {
		int item = forkbus_process(watch->bus, &event);

		if (item == FORKBUS_NOTHING || item == -ENOMEM)
			break;
		if (item < 0) {
			(void)sd_event_source_set_enabled(watch->io, SD_EVENT_OFF);
			(void)sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
			watch->take(watch, item, NULL, watch->userdata);
			break;
		}
		watch->take(watch, item, event, watch->userdata);
	}
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source, (void)fd, (void)events;
	return watch_drain(userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source, (void)usec;
	return watch_drain(userdata);
}

/* Before each wait of the loop. */
static int on_prepare(sd_event_source *source, void *userdata)
{
	struct watch *watch = userdata;
	uint64_t until;

	(void)source;
	(void)forkbus_get_timeout(watch->bus, &until);
	if (until == FORKBUS_FOREVER)
		return sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
	(void)sd_event_source_set_time(watch->timer, until);
	return sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static int set_filter(struct forkbus *bus, const struct watch_options *options)
{
	int r = forkbus_add_type(bus, FORKBUS_TYPE_EXIT);

	if (r == 0)
		r = forkbus_add_uid(bus, (uint32_t)options->uid);
	if (r == 0 && options->signals)
		r = forkbus_set_exits(bus, FORKBUS_EXITS_SIGNAL);
	if (r == 0 && !options->signals)
		r = forkbus_set_min_elapsed(bus, options->min_elapsed_usec);
	if (r == 0)
		r = forkbus_set_since(bus, options->since);
	return r;
}

static void explain(const struct watch *watch, const struct watch_options *options, int error)
{
	const char *why = watch && watch->bus ? forkbus_get_error(watch->bus) : NULL;

	/* --since is the only part of the filter that the user sets. */
	if (error == -EINVAL && options->since)
		msg_err("--since=%s: expected a span before now, like -1h, or a cursor", options->since);
	else
		msg_err("cannot listen to a broker at %s: %s", options->runtime_dir,
			why ? why : strerror(-error));
}

/* The library's timeout may change with every call, so it is read before each wait. */
static int attach(struct watch *watch, sd_event *event)
{
	int r = sd_event_add_io(event, &watch->io, forkbus_get_fd(watch->bus), EPOLLIN, on_io, watch);

	if (r >= 0)
		r = sd_event_add_time(event, &watch->timer, CLOCK_MONOTONIC, 0, 1, on_timer, watch);
	if (r >= 0)
		r = sd_event_source_set_prepare(watch->io, on_prepare);
	return r;
}

int watch_new(struct watch **ret, sd_event *event, const struct watch_options *options)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int r = watch ? forkbus_new(&watch->bus, options->runtime_dir, FORKBUS_PATIENT) : -ENOMEM;

	if (r == 0) {
		watch->take = options->take;
		watch->userdata = options->userdata;
		r = set_filter(watch->bus, options);
	}
	if (r == 0)
		r = forkbus_start(watch->bus);
	if (r == 0)
		r = attach(watch, event);
	if (r < 0) {
		explain(watch, options, r);
		watch_free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

struct watch *watch_free(struct watch *watch)
{
	if (!watch)
		return NULL;
	sd_event_source_disable_unref(watch->io);
	sd_event_source_disable_unref(watch->timer);
	forkbus_free(watch->bus);
	free(watch);
	return NULL;
}

struct forkbus *watch_bus(struct watch *watch)
{
	return watch->bus;
}
