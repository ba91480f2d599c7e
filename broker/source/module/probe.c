// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/module/module.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/message.h"

/* The types that the source needs to be useful. */
#define MODULE_NEEDS \
	(FORKBUS_MASK(FORKBUS_TYPE_FORK) | FORKBUS_MASK(FORKBUS_TYPE_EXEC) | FORKBUS_MASK(FORKBUS_TYPE_EXIT))

/* Requests */

static struct nlmsghdr *begin_start(const struct module *module, struct genl_buffer *room)
{
	struct nlmsghdr *request =
		genl_begin(room, module->family.id, FORKBUS_CMD_START, FORKBUS_FAMILY_VERSION);

	mnl_attr_put_u32(request, FORKBUS_A_MASK, module_mask(hub_armed(module->hub)));
	if (module->arguments)
		mnl_attr_put_u32(request, FORKBUS_A_ARGS, module->arguments);
	return request;
}

/* Without waiting for an answer: an error arrives together with the events. */
void module_arm(struct module *module)
{
	struct genl_buffer room;
	struct nlmsghdr *request = begin_start(module, &room);
	int r;

	request->nlmsg_flags = NLM_F_REQUEST;
	r = netlink_send(module->live_fd, request);
	if (r < 0)
		msg_warning("Cannot arm events in the kernel module forkbus: %s", strerror(-r));
}

struct status_answer {
	uint16_t family;
	struct module_status *status;
};

static void on_status(const struct nlmsghdr *message, void *userdata)
{
	const struct status_answer *answer = userdata;
	struct module_status status;

	if (module_status_decode(&status, message, answer->family) == 0)
		*answer->status = status;
}

/* @status is unchanged if there is no answer. */
static int ask_status(struct module_status *status, uint16_t family, int fd, void *buffer)
{
	struct status_answer answer = { .family = family, .status = status };
	struct genl_buffer room;

	return genl_request(fd, genl_begin(&room, family, FORKBUS_CMD_STATUS, FORKBUS_FAMILY_VERSION), buffer,
			    MODULE_BUFFER_SIZE, on_status, &answer);
}

int module_ask_status(struct module *module)
{
	uint64_t now = clock_usec(CLOCK_REALTIME);
	int r;

	if (module->stream.replaying)
		return -EBUSY;
	r = ask_status(&module->status, module->family.id, module->request_fd, module->buffer);
	if (r == 0)
		module->status_usec = now;
	return r;
}

/* Arm before joining: the ring keeps the events in between, and no event arrives among the answers. */
static int open_sockets(struct module *module)
{
	struct genl_buffer room;
	int r;

	module->request_fd = netlink_open(NETLINK_GENERIC, 0, 0);
	if (module->request_fd < 0)
		return module->request_fd;
	module->live_fd = netlink_open(NETLINK_GENERIC, 0, module->socket_buffer);
	if (module->live_fd < 0)
		return module->live_fd;
	r = genl_request(module->live_fd, begin_start(module, &room), module->buffer, MODULE_BUFFER_SIZE,
			 NULL, NULL);
	if (r == 0)
		r = genl_join(module->live_fd, module->family.group);
	if (r < 0)
		return r;
	/* Arm once more: this wakes the sender of the module, which had no listener before. */
	module_arm(module);
	r = module_ask_status(module);
	return r == 0 && module->status.instance == 0 ? -EPROTO : r;
}

int module_open(struct module *module)
{
	int r = genl_find(&module->family, FORKBUS_FAMILY_NAME, FORKBUS_MCGRP_EVENTS);

	if (r == -ENOENT) {
		msg_err("The kernel module forkbus is not loaded.");
		return r;
	}
	if (r == 0)
		r = open_sockets(module);
	if (r == -EPERM)
		msg_err("The kernel module forkbus requires CAP_NET_ADMIN.");
	else if (r < 0)
		msg_err("The kernel module forkbus gave no valid answer: %s", strerror(-r));
	if (r < 0)
		return r;
	module->stream.family = module->family.id;
	module->stream.instance = module->status.instance;
	module->stream.wanted = module_mask(HUB_ARMED_ALWAYS) & module->status.supported;
	if (module->family.version != FORKBUS_FAMILY_VERSION)
		msg_info("The kernel module forkbus %s has protocol version %u, this broker version %d: "
			 "only features that both support are used.",
			 module->status.version, module->family.version, FORKBUS_FAMILY_VERSION);
	return 0;
}

void module_close(struct module *module)
{
	module->live_fd = close_fd(module->live_fd);
	module->request_fd = close_fd(module->request_fd);
}

/* Would it work here? */

bool module_lacks(const struct module_status *status, char *buf, size_t size)
{
	uint32_t lacking = module_armed(~status->supported);
	size_t at = 0;

	buf[0] = '\0';
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		if ((lacking & EVENT_TYPE_BIT(type)) && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "",
					       event_type_name(type));
	return lacking & ~HUB_ARMED_THREADS;
}

static int probe_status(const struct genl_family_info *family, struct module_status *status)
{
	_cleanup_close_ int fd = netlink_open(NETLINK_GENERIC, 0, 0);
	_cleanup_free_ void *buffer = malloc(MODULE_BUFFER_SIZE);
	int r;

	*status = (struct module_status){};
	if (fd < 0)
		return fd;
	if (!buffer)
		return -ENOMEM;
	r = ask_status(status, family->id, fd, buffer);
	return r == 0 && status->instance == 0 ? -EPROTO : r;
}

static void say(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX],
		const char *what, const char *better)
{
	snprintf(found, SOURCE_SENTENCE_MAX, "%s", what);
	snprintf(advice, SOURCE_SENTENCE_MAX, "%s", better);
}

static bool say_refused(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX],
			int r)
{
	if (r == -ENOENT)
		say(found, advice, "The kernel module forkbus is not loaded.",
		    "Where it is installed, \"modprobe forkbus\" loads it: even short-lived processes are "
		    "fully reported.");
	else if (r == -EPERM)
		say(found, advice, "The kernel module forkbus is loaded, but requires CAP_NET_ADMIN.",
		    "Run as root or with CAP_NET_ADMIN, in the initial user namespace.");
	else
		snprintf(found, SOURCE_SENTENCE_MAX, "The kernel module forkbus gave no valid answer: %s.",
			 strerror(-r));
	return false;
}

static bool say_status(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX],
		       const struct genl_family_info *family, const struct module_status *status)
{
	bool works = (status->supported & MODULE_NEEDS) == MODULE_NEEDS;
	char lacks[128];

	if (module_lacks(status, lacks, sizeof(lacks)))
		snprintf(found, SOURCE_SENTENCE_MAX,
			 "The kernel module forkbus %s %s; it has no hook here for %s.", status->version,
			 works ? "works" : "is loaded", lacks);
	else
		snprintf(found, SOURCE_SENTENCE_MAX, "The kernel module forkbus %s works.", status->version);
	if (family->version != FORKBUS_FAMILY_VERSION)
		snprintf(advice, SOURCE_SENTENCE_MAX,
			 "It has protocol version %u, this broker version %d: what only the newer one "
			 "knows is not reported.",
			 family->version, FORKBUS_FAMILY_VERSION);
	return works;
}

bool module_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX])
{
	struct genl_family_info family;
	struct module_status status;
	int r = genl_find(&family, FORKBUS_FAMILY_NAME, NULL);

	advice[0] = '\0';
	if (r == 0)
		r = probe_status(&family, &status);
	return r == 0 ? say_status(found, advice, &family, &status) : say_refused(found, advice, r);
}

/* The broker status */

static void describe_module(const struct module *module, struct json_builder *object)
{
	const struct module_status *status = &module->status;
	struct json_builder lost = json_build(json_object());
	char instance[20];

	snprintf(instance, sizeof(instance), "%016" PRIx64, status->instance);
	json_put_text(object, "moduleVersion", status->version);
	source_describe_number(object, "protocolVersion", module->family.version);
	json_put_text(object, "instance", instance);
	source_describe_number(object, "ringSize", status->ring_size);
	source_describe_number(object, "ringUnsent", status->ring_used);
	source_describe_number(object, "firstRecord", status->first);
	source_describe_number(object, "lastRecord", status->last);
	source_describe_number(object, "listeners", status->listeners);
	source_describe_number(object, "graceSec", status->grace);
	for (uint32_t type = FORKBUS_TYPE_FORK; type < FORKBUS_TYPE_THREADS; type++)
		if (status->lost[type])
			source_describe_number(&lost, event_type_name(module_event_type(type)),
					       status->lost[type]);
	json_put(object, "kernelLost", json_built(&lost));
}

static void describe_stream(const struct module *module, struct json_builder *object)
{
	const struct module_stream_stats *stats = &module->stream.stats;

	source_describe_number(object, "publishedRecord", module->stream.last);
	source_describe_number(object, "messages", stats->messages);
	source_describe_number(object, "records", stats->records);
	source_describe_number(object, "doubles", stats->doubles);
	source_describe_number(object, "overruns", stats->overruns);
	source_describe_number(object, "replays", stats->replays);
	source_describe_number(object, "replaysFailed", stats->replays_failed);
	source_describe_number(object, "malformedRecords", stats->malformed);
	source_describe_number(object, "unknownRecords", stats->unknown);
}

void module_describe(const struct module *module, struct json_builder *object)
{
	const struct cgroups_stats *cgroups = module->cgroups ? cgroups_stats(module->cgroups) : NULL;

	describe_module(module, object);
	describe_stream(module, object);
	source_describe_number(object, "wakeups", module->stats.wakeups);
	source_describe_number(object, "resyncs", module->stats.resyncs);
	source_describe_number(object, "publishedBefore", module->stats.published_before);
	if (!cgroups)
		return;
	source_describe_number(object, "cgroups", cgroups->kept);
	source_describe_number(object, "cgroupReadings", cgroups->readings);
	source_describe_number(object, "cgroupsUnknown", module->stats.unplaced);
	source_describe_number(object, "heldRecords", module->stats.held);
}
