// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/netlink/genl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define ANSWER_USEC (1 * USEC_PER_SEC)

/* More than the longest message about families. */
#define BUFFER_SIZE (32 * 1024)

struct nlmsghdr *genl_begin(struct genl_buffer *buffer, uint16_t family, uint8_t command, uint8_t version)
{
	struct nlmsghdr *header;
	struct genlmsghdr *genl;

	memset(buffer, 0, sizeof(*buffer));
	header = mnl_nlmsg_put_header(buffer->data);
	header->nlmsg_type = family;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	genl = mnl_nlmsg_put_extra_header(header, sizeof(*genl));
	genl->cmd = command;
	genl->version = version;
	return header;
}

struct answer {
	netlink_fn fn;
	void *userdata;
	bool done;
	int error;
};

/* An acknowledgement, and the end of a list, come last; both begin with the error. */
static void on_answer(const struct nlmsghdr *message, void *userdata)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
	struct answer *answer = userdata;

	if ((message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) &&
	    message->nlmsg_len >= MNL_NLMSG_HDRLEN + sizeof(error->error)) {
		answer->done = true;
		answer->error = netlink_errno(error->error);
	} else if (answer->fn) {
		answer->fn(message, answer->userdata);
	}
}

int genl_request(int fd, const struct nlmsghdr *request, void *buffer, size_t size, netlink_fn fn,
		 void *userdata)
{
	struct answer answer = { .fn = fn, .userdata = userdata };
	ssize_t n = netlink_send(fd, request);

	while (n >= 0 && !answer.done) {
		n = netlink_receive_one(fd, buffer, size);
		if (n == 0 && !netlink_wait(fd, ANSWER_USEC))
			return -ETIMEDOUT;
		/* No answer was dropped: there is always room for one. */
		if (n == -ENOBUFS)
			n = 0;
		if (n > 0)
			netlink_walk(buffer, (size_t)n, on_answer, &answer);
	}
	return n < 0 ? (int)n : answer.error;
}

/* Families */

struct lookup {
	const char *name, *group;
	struct genl_family_info *info;
};

static bool is_string(const struct nlattr *attr, const char *string)
{
	const char *text = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	return strnlen(text, len) == strlen(string) && memcmp(text, string, strlen(string)) == 0;
}

static uint32_t number_of(const struct nlattr *attr)
{
	uint32_t number = 0;
	size_t len = mnl_attr_get_payload_len(attr);

	if (len == sizeof(uint16_t))
		return mnl_attr_get_u16(attr);
	if (len == sizeof(number))
		memcpy(&number, mnl_attr_get_payload(attr), sizeof(number));
	return number;
}

static uint32_t find_group(const struct nlattr *groups, const char *name)
{
	const struct nlattr *group, *attr;

	mnl_attr_for_each_nested(group, groups) {
		uint32_t id = 0;
		bool found = false;

		mnl_attr_for_each_nested(attr, group) {
			if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID)
				id = number_of(attr);
			else if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME)
				found = is_string(attr, name);
		}
		if (found)
			return id;
	}
	return 0;
}

static void on_family(const struct nlmsghdr *message, void *userdata)
{
	struct genl_family_info info = {};
	struct lookup *lookup = userdata;
	const struct nlattr *attr;
	bool found = false;

	if (message->nlmsg_type != GENL_ID_CTRL || message->nlmsg_len < MNL_NLMSG_HDRLEN + GENL_HDRLEN)
		return;
	mnl_attr_for_each(attr, message, GENL_HDRLEN) {
		switch (mnl_attr_get_type(attr)) {
		case CTRL_ATTR_FAMILY_ID:
			info.id = (uint16_t)number_of(attr);
			break;
		case CTRL_ATTR_FAMILY_NAME:
			found = is_string(attr, lookup->name);
			break;
		case CTRL_ATTR_VERSION:
			info.version = number_of(attr);
			break;
		case CTRL_ATTR_MCAST_GROUPS:
			if (lookup->group)
				info.group = find_group(attr, lookup->group);
			break;
		default:
			break;
		}
	}
	if (found)
		*lookup->info = info;
}

int genl_find(struct genl_family_info *info, const char *name, const char *group)
{
	_cleanup_close_ int fd = netlink_open(NETLINK_GENERIC, 0, 0);
	struct lookup lookup = { .name = name, .group = group, .info = info };
	_cleanup_free_ void *buffer = malloc(BUFFER_SIZE);
	struct nlmsghdr *request;
	struct genl_buffer room;
	int r;

	*info = (struct genl_family_info){};
	if (fd < 0)
		return fd;
	if (!buffer)
		return -ENOMEM;
	request = genl_begin(&room, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	r = genl_request(fd, request, buffer, BUFFER_SIZE, on_family, &lookup);
	if (r < 0)
		return r;
	return info->id ? 0 : -ENOENT;
}

int genl_join(int fd, uint32_t group)
{
	return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0 ? -errno : 0;
}

/* Notifications */

int genl_watch_open(void)
{
	struct genl_family_info info;
	int r = genl_find(&info, "nlctrl", "notify");
	_cleanup_close_ int fd = -1;

	if (r < 0)
		return r;
	fd = netlink_open(NETLINK_GENERIC, 0, 0);
	if (fd < 0)
		return fd;
	r = genl_join(fd, info.group);
	return r < 0 ? r : steal_fd(&fd);
}

struct news {
	const char *name;
	bool gone;
};

static void on_news(const struct nlmsghdr *message, void *userdata)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(message);
	struct news *news = userdata;
	const struct nlattr *attr;

	if (message->nlmsg_type != GENL_ID_CTRL || message->nlmsg_len < MNL_NLMSG_HDRLEN + GENL_HDRLEN ||
	    genl->cmd != CTRL_CMD_DELFAMILY)
		return;
	mnl_attr_for_each(attr, message, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_NAME && is_string(attr, news->name))
			news->gone = true;
}

bool genl_watch_read(int fd, const char *name)
{
	_Alignas(NLMSG_ALIGNTO) unsigned char buffer[8192];
	struct news news = { .name = name };
	ssize_t n;

	while ((n = netlink_receive_one(fd, buffer, sizeof(buffer))) != 0) {
		if (n > 0)
			netlink_walk(buffer, (size_t)n, on_news, &news);
		else if (n == -ENOBUFS || n == -EMSGSIZE)
			news.gone = true;
		else
			break;
	}
	return news.gone;
}
