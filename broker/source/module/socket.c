// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/message.h"
#include "source/module/module.h"

static struct nlmsghdr *begin(const struct module *module, struct genl_buffer *room, uint8_t command)
{
	return genl_begin(room, module->family.id, command, FORKBUS_FAMILY_VERSION);
}

static struct nlmsghdr *begin_start(const struct module *module, struct genl_buffer *room)
{
	struct nlmsghdr *request = begin(module, room, FORKBUS_CMD_START);

	mnl_attr_put_u32(request, FORKBUS_A_MASK, module_mask(hub_armed(module->hub)));
	if (module->arguments)
		mnl_attr_put_u32(request, FORKBUS_A_ARGS, module->arguments);
	return request;
}

/* Without waiting for an answer: a refusal comes with the events. */
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

static void on_status(const struct nlmsghdr *message, void *userdata)
{
	struct module *module = userdata;
	struct module_status status;

	if (module_status_decode(&status, message, module->family.id) == 0)
		module->status = status;
}

int module_ask_status(struct module *module)
{
	struct genl_buffer room;
	uint64_t now = clock_usec(CLOCK_REALTIME);
	int r;

	if (module->stream.replaying)
		return -EBUSY;
	r = genl_request(module->request_fd, begin(module, &room, FORKBUS_CMD_STATUS), module->buffer,
			 MODULE_BUFFER_SIZE, on_status, module);
	if (r == 0)
		module->status_usec = now;
	return r;
}

ssize_t module_receive(void *userdata, enum module_channel channel, void *buffer, size_t size)
{
	const struct module *module = userdata;

	return netlink_receive_one(channel == MODULE_LIVE ? module->live_fd : module->request_fd, buffer,
				   size);
}

int module_ask_replay(void *userdata, uint64_t from)
{
	const struct module *module = userdata;
	struct genl_buffer room;
	struct nlmsghdr *request = begin(module, &room, FORKBUS_CMD_REPLAY);

	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_attr_put_u64(request, FORKBUS_A_FROM, from);
	mnl_attr_put_u64(request, FORKBUS_A_INSTANCE, module->stream.instance);
	return netlink_send(module->request_fd, request);
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
			 "only what both know is used.",
			 module->status.version, module->family.version, FORKBUS_FAMILY_VERSION);
	return 0;
}

void module_close(struct module *module)
{
	module->live_fd = close_fd(module->live_fd);
	module->request_fd = close_fd(module->request_fd);
}
