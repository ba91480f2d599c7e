/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Generic netlink: families by name, requests and their answers, and notifications when families are added or removed.
 */

#include "source/netlink/socket.h"

/* Room for a request without texts of any length; zeroed, since padding goes to the kernel too. */
struct genl_buffer {
	_Alignas(NLMSG_ALIGNTO) unsigned char data[512];
};

/* genl_begin() - begin a request with an acknowledgement; attributes can be added */
struct nlmsghdr *genl_begin(struct genl_buffer *buffer, uint16_t family, uint8_t command, uint8_t version);

/*
 * genl_request() - send a request, and wait for its end
 * @buffer: where answers are received, for datagrams of up to @size bytes
 * @fn: NULL, or called for all messages that arrive meanwhile
 * Return: 0; the error of the kernel, -ETIMEDOUT, or another negative errno.
 */
int genl_request(int fd, const struct nlmsghdr *request, void *buffer, size_t size, netlink_fn fn,
		 void *userdata);

#define GENL_GROUP_NAME_MAX 16

struct genl_family_info {
	uint16_t id; /* 0: there is none */
	uint32_t version;
	uint32_t group; /* number of the requested multicast group, 0: the family has no group of that name */
};

/*
 * genl_find() - look a family up
 * It lists all families: a request for one by name makes the kernel load the module that has it.
 * @group: NULL, or the name of one of its multicast groups
 * Return: 0, -ENOENT, or another negative errno.
 */
int genl_find(struct genl_family_info *info, const char *name, const char *group);

/* genl_join() - listen to a multicast group. Return: 0 or a negative errno. */
int genl_join(int fd, uint32_t group);

/*
 * genl_watch_open() - a socket that reports when families are added or removed
 * Return: a descriptor, or a negative errno.
 */
int genl_watch_open(void);

/*
 * genl_watch_read() - read the reports that have arrived
 * Return: whether a family of this name was removed (it may exist again); true if reports were lost.
 */
bool genl_watch_read(int fd, const char *name);
