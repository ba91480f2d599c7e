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

static const struct module_ops stream_ops = {
	.receive = module_receive,
	.replay = module_ask_replay,
	.record = module_publish,
	.lost = module_publish_lost,
};

static const struct resync_ops resync_ops = { .gone = module_publish_gone };

static struct source *module_stop(struct source *source);

static inline struct module *to_module(struct source *source)
{
	return (struct module *)source;
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
	module_drain(module);
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
	r = module_read_start(module);
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
	module_drain(module);
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

static void describe_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void describe_module(const struct module *module, json_t *object)
{
	const struct module_status *status = &module->status;
	json_t *lost = json_object();
	char instance[20];

	snprintf(instance, sizeof(instance), "%016" PRIx64, status->instance);
	json_object_set_new(object, "moduleVersion", json_string(status->version));
	describe_number(object, "protocolVersion", module->family.version);
	json_object_set_new(object, "instance", json_string(instance));
	describe_number(object, "ringSize", status->ring_size);
	describe_number(object, "ringUnsent", status->ring_used);
	describe_number(object, "firstRecord", status->first);
	describe_number(object, "lastRecord", status->last);
	describe_number(object, "listeners", status->listeners);
	describe_number(object, "graceSec", status->grace);
	for (uint32_t type = FORKBUS_TYPE_FORK; type < FORKBUS_TYPE_THREADS; type++)
		if (status->lost[type])
			describe_number(lost, event_type_name(module_event_type(type)), status->lost[type]);
	json_object_set_new(object, "kernelLost", lost);
}

static void describe_stream(const struct module *module, json_t *object)
{
	const struct module_stream_stats *stats = &module->stream.stats;

	describe_number(object, "toldRecord", module->stream.last);
	describe_number(object, "messages", stats->messages);
	describe_number(object, "records", stats->records);
	describe_number(object, "doubles", stats->doubles);
	describe_number(object, "overruns", stats->overruns);
	describe_number(object, "replays", stats->replays);
	describe_number(object, "replaysFailed", stats->replays_failed);
	describe_number(object, "malformedRecords", stats->malformed);
	describe_number(object, "unknownRecords", stats->unknown);
}

static void module_describe(const struct source *source, json_t *object)
{
	struct module *module = (struct module *)(uintptr_t)source;
	const struct cgroups_stats *cgroups = module->cgroups ? cgroups_stats(module->cgroups) : NULL;

	/* While a replay runs the module cannot be asked: the last status is used. */
	(void)module_ask_status(module);
	describe_module(module, object);
	describe_stream(module, object);
	describe_number(object, "wakeups", module->stats.wakeups);
	describe_number(object, "resyncs", module->stats.resyncs);
	describe_number(object, "toldBefore", module->stats.published_before);
	if (!cgroups)
		return;
	describe_number(object, "cgroups", cgroups->kept);
	describe_number(object, "cgroupReadings", cgroups->readings);
	describe_number(object, "cgroupsUnknown", module->stats.unplaced);
	describe_number(object, "heldRecords", module->stats.held);
}

/* The module keeps types armed for its grace time: a broker that restarts in time misses nothing. */
static struct source *module_stop(struct source *source)
{
	struct module *module = to_module(source);

	if (!module)
		return NULL;
	module_read_stop(module);
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

const struct source_ops module_source = {
	.name = "module",
	.supported = HUB_ARMED_ALWAYS | EVENT_TYPE_BIT(EVENT_CHROOT) | EVENT_TYPE_BIT(EVENT_COREDUMP) |
		     EVENT_TYPE_BIT(EVENT_PTRACE) | HUB_ARMED_THREADS,
	.start = module_start,
	.take_over = module_take_over,
	.finish = module_finish,
	.arm = module_arm_source,
	.describe = module_describe,
	.stop = module_stop,
	.probe = module_probe,
};
