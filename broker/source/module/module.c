// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/module/module.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "core/priority.h"
#include "source/clocks.h"

/* How many messages to publish before the loop serves others. Under load, each has dozens of records. */
#define BATCH	   32
/* And then how long it serves them, if there are more messages. */
#define PAUSE_USEC (1 * USEC_PER_MSEC)

#define TICK_USEC    (500 * USEC_PER_MSEC)
/* Ticks between two requests for the module's status. */
#define STATUS_TICKS 10
/* Ticks without an answer after which a replay has timed out. */
#define REPLAY_TICKS 10

/* The time limit for publishing all records at once. */
#define DRAIN_NSEC (2 * NSEC_PER_SEC)

/* How often to retry a record that is held. */
#define HOLD_USEC (2 * USEC_PER_MSEC)

static inline struct module *to_module(struct source *source)
{
	return (struct module *)source;
}

/* The two channels */

static ssize_t receive(void *userdata, enum module_channel channel, void *buffer, size_t size)
{
	const struct module *module = userdata;

	return netlink_receive_one(channel == MODULE_LIVE ? module->live_fd : module->request_fd, buffer,
				   size);
}

static int ask_replay(void *userdata, uint64_t from)
{
	const struct module *module = userdata;
	struct genl_buffer room;
	struct nlmsghdr *request =
		genl_begin(&room, module->family.id, FORKBUS_CMD_REPLAY, FORKBUS_FAMILY_VERSION);

	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_attr_put_u64(request, FORKBUS_A_FROM, from);
	mnl_attr_put_u64(request, FORKBUS_A_INSTANCE, module->stream.instance);
	return netlink_send(module->request_fd, request);
}

static const struct module_ops stream_ops = {
	.receive = receive,
	.replay = ask_replay,
	.record = module_publish,
	.lost = module_publish_lost,
};

static const struct resync_ops resync_ops = { .gone = module_publish_gone };

/* The cycle */

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
	const struct timeval hold = { .tv_usec = HOLD_USEC }, pause = { .tv_usec = PAUSE_USEC };
	bool live = module_stream_channel(&module->stream) == MODULE_LIVE;
	/* If there is more, and even if there is nothing to read, it goes on after a pause, so that subscribers get something. */
	bool reads =
		progress >= 0 && progress != MODULE_HELD && progress != MODULE_BUSY && !scan_holds(module);

	if (progress == MODULE_HELD)
		event_add(module->hold, &hold);
	else if (progress == MODULE_BUSY || resync_is_busy(module->resync))
		event_add(module->hold, &pause);
	if (reads && live)
		event_add(module->live, NULL);
	else
		event_del(module->live);
	if (reads && !live)
		event_add(module->replay, NULL);
	else
		event_del(module->replay);
}

static void run(struct module *module)
{
	int progress = MODULE_IDLE;

	module->stats.wakeups++;
	clocks_read(&module->clocks);
	if (module->cgroups)
		cgroups_collect(module->cgroups);
	(void)proc_helper_collect(module->helper);
	module->stats.resyncs += resync_collect(module->resync, module->helper) == RESYNC_ALL;
	if (!scan_holds(module)) {
		progress = module_stream_run(&module->stream, BATCH);
		resync_settle(module->resync,
			      clocks_monotonic_nsec(&module->clocks, module->stream.last_nsec),
			      progress == MODULE_IDLE && !module->stream.replaying);
	}
	if (progress < 0)
		fail(module, progress);
	/* Publishing of a waiting record has already begun. */
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

/* If a replay does not end, all later records have to wait. */
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

/* A record that is neither published nor queued is lost: the module did not have the memory to send it. */
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

/* Read without waiting, until there is nothing more, or it takes too long. No record is held. */
static void drain(struct module *module)
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

static int read_start(struct module *module)
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
		event_priority_set(module->read_cgroups, PRIORITY_SOURCE);
		event_add(module->read_cgroups, NULL);
	}
	event_priority_set(module->live, PRIORITY_SOURCE);
	event_priority_set(module->replay, PRIORITY_SOURCE);
	event_priority_set(module->answered, PRIORITY_SOURCE);
	event_priority_set(module->hold, PRIORITY_SOURCE);
	event_priority_set(module->tick, PRIORITY_SOURCE);
	event_add(module->answered, NULL);
	event_add(module->tick, &tick);
	listen_to(module, MODULE_BUSY);
	return 0;
}

static void read_stop(struct module *module)
{
	struct event **events[] = { &module->live,	   &module->replay, &module->answered,
				    &module->read_cgroups, &module->hold,   &module->tick };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i])
			event_free(*events[i]);
		*events[i] = NULL;
	}
}

/* Start and stop */

/* The module keeps types armed for its grace time: a broker that restarts in time misses nothing. */
static struct source *module_stop(struct source *source)
{
	struct module *module = to_module(source);

	if (!module)
		return NULL;
	read_stop(module);
	module_close(module);
	hub_set_origin(module->hub, &(struct hub_origin){});
	module_stream_done(&module->stream);
	module_seam_done(&module->seam);
	proc_helper_free(module->helper);
	cgroups_free(module->cgroups);
	resync_free(module->resync);
	free(module->buffer);
	free(module);
	return NULL;
}

static struct module *module_free(struct module *module)
{
	module_stop(&module->source);
	return NULL;
}

DEFINE_CLEANUP(struct module, module_free)

static int module_new(struct module **ret, struct hub *hub, struct event_base *base,
		      const struct source_options *options)
{
	_cleanup_(module_free_p) struct module *module = calloc(1, sizeof(*module));
	int r;

	if (!module)
		return -ENOMEM;
	module->source.ops = &module_source;
	module->live_fd = module->request_fd = -1;
	module->hub = hub;
	module->base = base;
	module->socket_buffer = options->socket_buffer;
	module->arguments = (uint32_t)options->arguments;
	module->buffer = malloc(MODULE_BUFFER_SIZE);
	r = module_stream_init(&module->stream, &stream_ops, module);
	if (r == 0)
		r = resync_new(&module->resync, hub, &module->clocks, &resync_ops, module);
	if (r < 0 || !module->buffer)
		return -ENOMEM;
	r = proc_helper_new(&module->helper);
	if (r < 0) {
		msg_err("Cannot start reading /proc: %s", strerror(-r));
		return r;
	}
	*ret = steal(module);
	return 0;
}

/* Without paths of cgroups, events have fewer fields, but the source still works. */
static void open_cgroups(struct module *module)
{
	int r = cgroups_new(&module->cgroups, NULL);

	if (r == -ENOENT)
		msg_info("cgroup v2 is not mounted: reading cgroups from /proc.");
	else if (r < 0)
		msg_warning("Cannot read the cgroups, events may lack theirs: %s", strerror(-r));
}

/* Do not arm types that this version of the module does not support. */
static void set_supported(struct module *module)
{
	hub_set_supported(module->hub, module_source.supported & module_armed(module->status.supported));
}

static void say_started(struct module *module)
{
	char detail[EVENT_TEXT_MAX], lacks[128], version[32] = "";
	bool lacking = module_lacks(&module->status, lacks, sizeof(lacks));

	if (module->family.version != FORKBUS_FAMILY_VERSION)
		snprintf(version, sizeof(version), ", protocol %u", module->family.version);
	snprintf(detail, sizeof(detail), "kernel module %s%s%s%s", module->status.version, version,
		 lacking ? ", without " : "", lacks);
	if (lacking)
		msg_info("The kernel module forkbus has no hook for %s on this kernel.", lacks);
	module_set_origin(module, module->stream.last);
	hub_source_changed(module->hub, module_source.name, "started", detail);
}

/* The log ends with a record of this instance of the module: the ring of the module has the later ones. */
static void resume(struct module *module, const struct hub_origin *from)
{
	hub_cancel_outage(module->hub);
	module->stream.last = from->kernel_seq;
	module->stream.last_nsec = from->boot_usec * NSEC_PER_USEC;
	module->stream.hole = MODULE_LOST_UNARMED;
	module_set_origin(module, from->kernel_seq);
	module_stream_replay(&module->stream);
	drain(module);
	msg_info("The kernel module forkbus had kept %" PRIu64 " records since the end of the log.",
		 module->stream.last - from->kernel_seq);
}

/* From now on this source publishes events. */
static int begin_publishing(struct module *module, const struct hub_origin *from)
{
	int r;

	clocks_read(&module->clocks);
	module_set_origin(module, 0);
	/* The source before this one, or the scan of /proc, reports what happened earlier. */
	module->stream.last = module->status.last;
	module->stream.last_nsec = clocks_boot_nsec(&module->clocks, monotonic_nsec());
	if (from->instance == module->stream.instance && from->kernel_seq <= module->status.last)
		resume(module, from);
	say_started(module);
	r = read_start(module);
	module->patient = true;
	return r;
}

static int module_start(struct source **ret, struct hub *hub, struct event_base *base,
			const struct source_options *options)
{
	_cleanup_(module_free_p) struct module *module = NULL;
	struct hub_origin from;
	int r = module_new(&module, hub, base, options);

	if (r == 0)
		r = module_open(module);
	if (r < 0)
		return r;
	open_cgroups(module);
	if (!options->later) {
		from = hub_take_resume(hub);
		set_supported(module);
		r = begin_publishing(module, &from);
		if (r == 0)
			r = resync_first(module->resync);
		if (r < 0)
			msg_err("Cannot start reporting events: %s", strerror(-r));
		hub_flush(hub);
	}
	if (r == 0)
		*ret = &steal(module)->source;
	return r;
}

/* The table is filled, but both sources can miss an event during the change from one to the other. */
static int module_take_over(struct source *source, uint64_t since_usec)
{
	struct module *module = to_module(source);
	uint32_t armed = hub_armed(module->hub);
	int r = module_seam_begin(&module->seam, hub_log(module->hub), since_usec);

	if (r < 0)
		return r;
	set_supported(module);
	if (hub_armed(module->hub) != armed)
		module_arm(module);
	resync_want(module->resync);
	r = begin_publishing(module, &(struct hub_origin){});
	hub_flush(module->hub);
	return r;
}

static uint64_t module_finish(struct source *source)
{
	struct module *module = to_module(source);
	uint64_t published_usec;

	resync_release(module->resync);
	drain(module);
	published_usec = clocks_real_usec(&module->clocks, module->stream.last_nsec);
	hub_flush(module->hub);
	/* A later status of the module showed no newer record. */
	return module->status.last <= module->stream.last && module->status_usec > published_usec
		       ? module->status_usec
		       : published_usec;
}

static void module_arm_source(struct source *source)
{
	module_arm(to_module(source));
}

static void module_describe_source(const struct source *source, struct json_builder *object)
{
	struct module *module = (struct module *)(uintptr_t)source;

	/* While a replay runs the module cannot be asked: the last status is used. */
	(void)module_ask_status(module);
	module_describe(module, object);
}

const struct source_ops module_source = {
	.name = "module",
	.supported = HUB_ARMED_ALWAYS | EVENT_TYPE_BIT(EVENT_CHROOT) | EVENT_TYPE_BIT(EVENT_COREDUMP) |
		     EVENT_TYPE_BIT(EVENT_PTRACE) | HUB_ARMED_THREADS,
	.start = module_start,
	.take_over = module_take_over,
	.finish = module_finish,
	.arm = module_arm_source,
	.describe = module_describe_source,
	.stop = module_stop,
	.probe = module_probe,
};
