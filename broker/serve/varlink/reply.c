// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/varlink/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "serve/varlink/message.h"

/* With a descriptor, if there is one to go with the first byte. Return: bytes, 0 for none now, -1 for never. */
static ssize_t send_some(struct link *link, const struct iovec *parts, size_t n_parts)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = n_parts };
	ssize_t n;

	if (link->out_fd >= 0) {
		message.msg_control = control.room;
		message.msg_controllen = sizeof(control.room);
		control.header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &link->out_fd, sizeof(int));
	}
	n = sendmsg(link->connection.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM ? 0 : -1;
	link->out_fd = close_fd(link->out_fd);
	connection_count_sent(&link->connection, (size_t)n);
	return n;
}

int link_keep(struct link *link, const struct iovec *parts, size_t n_parts, size_t sent)
{
	size_t size = 0;

	for (size_t i = 0; i < n_parts; i++)
		size += parts[i].iov_len;
	if (size == sent)
		return 0;
	link->out = malloc(size - sent);
	if (!link->out)
		return -ENOMEM;
	link->out_at = link->out_end = 0;
	for (size_t i = 0; i < n_parts; i++) {
		size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;

		memcpy(link->out + link->out_end, (const char *)parts[i].iov_base + skip,
		       parts[i].iov_len - skip);
		link->out_end += parts[i].iov_len - skip;
		sent -= skip;
	}
	return 0;
}

int link_send(struct link *link, const struct iovec *parts, size_t n_parts)
{
	ssize_t n = send_some(link, parts, n_parts);

	return n < 0 ? -EPIPE : link_keep(link, parts, n_parts, (size_t)n);
}

bool link_flush(struct link *link)
{
	struct iovec rest;
	ssize_t n;

	if (!link->out)
		return true;
	rest = (struct iovec){ link->out + link->out_at, link->out_end - link->out_at };
	n = send_some(link, &rest, 1);
	if (n < 0) {
		link->broken = true;
		return false;
	}
	link->out_at += (size_t)n;
	if (link->out_at < link->out_end)
		return false;
	free(link->out);
	link->out = NULL;
	return true;
}

static void set_out(struct link *link, char *message, size_t size)
{
	if (!message) {
		link->broken = true;
		return;
	}
	if (link->oneway) {
		free(message);
		return;
	}
	link->out = message;
	link->out_at = 0;
	link->out_end = size;
}

void link_fail(struct link *link, const char *error)
{
	size_t size = 0;
	char *message = varlink_reply(error, NULL, &size);

	set_out(link, message, size);
}

static void reply_with(struct link *link, const char *error, json_t *parameters)
{
	size_t size = 0;
	char *message = parameters ? varlink_reply(error, parameters, &size) : NULL;

	set_out(link, message, size);
}

void link_fail_with(struct link *link, const char *error, json_t *parameters)
{
	reply_with(link, error, parameters);
}

void link_reply(struct link *link, json_t *parameters)
{
	reply_with(link, NULL, parameters);
}

void link_reply_text(struct link *link, char *parameters)
{
	char *message = NULL;
	int size = parameters ? asprintf(&message, "{\"parameters\":%s}", parameters) : -1;

	free(parameters);
	set_out(link, size < 0 ? NULL : message, (size_t)size + 1);
}
