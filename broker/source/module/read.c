// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/message.h"
#include "source/clocks.h"
#include "source/module/module.h"

/* How many messages to publish before the loop serves others. Under load, each has dozens of records. */
#define BATCH 8

#define TICK_USEC    (500 * USEC_PER_MSEC)
/* Ask the module for its status once in so many ticks. */
#define STATUS_TICKS 10
/* A replay without an answer for so many ticks has timed out. */
#define REPLAY_TICKS 10

/* The time limit for publishing all records at once. */
#define DRAIN_NSEC (2 * NSEC_PER_SEC)

/* How often to retry a record that is held. */
#define HOLD_USEC (2 * USEC_PER_MSEC)

static void fail(struct module *module, int r)
{
	if (!module->failed)
		msg_err("Cannot read the kernel module forkbus any more: %s", strerror(-r));
	module->failed = true;
}

static bool scan_holds(const struct module *module)
{
	return resync_holds(module->resync, monotonic_nsec());
}

static void listen_to(struct module *module, int progress)
{
	const struct timeval hold = { .tv_usec = HOLD_USEC };
	bool live = module_stream_channel(&module->stream) == MODULE_LIVE;
	bool reads = progress >= 0 && progress != MODULE_HELD && !scan_holds(module);

	if (progress == MODULE_HELD)
		event_add(module->hold, &hold);
	if (reads && live)
		event_add(module->live, NULL);
	else
		event_del(module->live);
	if (reads && !live)
		event_add(module->replay, NULL);
	else
		event_del(module->replay);
	/* There may be nothing to read, and yet something to do. */
	if (reads && progress == MODULE_BUSY)
		event_active(live ? module->live : module->replay, EV_READ, 0);
}

static void run(struct module *module)
{
	int progress = MODULE_IDLE;

	module->stats.wakeups++;
	clocks_read(&module->clocks);
	if (module->cgroups)
		cgroups_collect(module->cgroups);
	(void)proc_helper_collect(module->helper);
	if (resync_collect(module->resync, module->helper))
		module->stats.resyncs++;
	if (!scan_holds(module)) {
		progress = module_stream_run(&module->stream, BATCH);
		resync_settle(module->resync,
			      clocks_monotonic_nsec(&module->clocks, module->stream.last_nsec),
			      progress == MODULE_IDLE && !module->stream.replaying);
	}
	if (progress < 0)
		fail(module, progress);
	/* A record that waits was begun to be published. */
	if (!module->stream.replaying)
		resync_begin(module->resync, module->helper);
	listen_to(module, progress);
	hub_flush(module->hub);
}

static void on_event(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	run(userdata);
}

/* A replay that does not end would keep all that follows waiting. */
static void watch_replay(struct module *module)
{
	if (!module->stream.replaying || scan_holds(module) ||
	    module->replay_messages != module->stream.stats.messages) {
		module->replay_messages = module->stream.stats.messages;
		module->replay_ticks = 0;
	} else if (++module->replay_ticks > REPLAY_TICKS) {
		msg_warning("The replay from the kernel module forkbus timed out.");
		module->replay_ticks = 0;
		module_stream_give_up(&module->stream);
	}
}

/* A record that is neither published nor queued is lost: the module had no memory to send it. */
static void check_status(struct module *module)
{
	if (++module->ticks % STATUS_TICKS != 0 || module_ask_status(module) < 0)
		return;
	run(module);
	if (module->status.instance == module->stream.instance && module->status.sent > module->stream.last &&
	    !scan_holds(module) && !module->stream.replaying && !module->stream.feeds[MODULE_LIVE].message &&
	    !netlink_wait(module->live_fd, 0))
		module->stream.replay_wanted = true;
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	struct module *module = userdata;

	(void)fd, (void)what;
	check_status(module);
	watch_replay(module);
	run(module);
}

/* No record waits. */
void module_drain(struct module *module)
{
	uint64_t until = monotonic_nsec() + DRAIN_NSEC;
	int r;

	clocks_read(&module->clocks);
	module->patient = false;
	do {
		r = module_stream_run(&module->stream, BATCH);
		if (r == MODULE_IDLE && module->stream.replaying &&
		    !netlink_wait(module->request_fd, 100 * USEC_PER_MSEC))
			module_stream_give_up(&module->stream);
		else if (r == MODULE_IDLE && module->stream.replaying)
			r = MODULE_BUSY;
	} while (r == MODULE_BUSY && monotonic_nsec() < until);
	module->patient = true;
	if (r < 0)
		fail(module, r);
}

int module_read_start(struct module *module)
{
	const struct timeval tick = { .tv_usec = TICK_USEC };
	struct event_base *base = module->base;

	module->live = event_new(base, module->live_fd, EV_READ | EV_PERSIST, on_event, module);
	module->replay = event_new(base, module->request_fd, EV_READ | EV_PERSIST, on_event, module);
	module->answered =
		event_new(base, proc_helper_fd(module->helper), EV_READ | EV_PERSIST, on_event, module);
	module->hold = evtimer_new(base, on_event, module);
	module->tick = event_new(base, -1, EV_PERSIST, on_tick, module);
	if (!module->live || !module->replay || !module->answered || !module->hold || !module->tick)
		return -ENOMEM;
	if (module->cgroups) {
		module->read_cgroups =
			event_new(base, cgroups_fd(module->cgroups), EV_READ | EV_PERSIST, on_event, module);
		if (!module->read_cgroups)
			return -ENOMEM;
		event_add(module->read_cgroups, NULL);
	}
	event_add(module->answered, NULL);
	event_add(module->tick, &tick);
	listen_to(module, MODULE_BUSY);
	return 0;
}

void module_read_stop(struct module *module)
{
	struct event **events[] = { &module->live,	   &module->replay, &module->answered,
				    &module->read_cgroups, &module->hold,   &module->tick };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i])
			event_free(*events[i]);
		*events[i] = NULL;
	}
}
