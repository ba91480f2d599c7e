// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "serve/varlink/internal.h"

#define READ_SIZE  4096
/* Calls that one connection may make in one turn of the loop before the others have theirs. */
#define CALL_SLICE 16

void link_free(struct link *link)
{
	struct varlink *varlink = link->varlink;

	link_end(link);
	outbox_not_due(&link->outbox);
	LIST_REMOVE(link, link);
	varlink->stats.connections--;
	if (link->readable)
		event_free(link->readable);
	if (link->writable)
		event_free(link->writable);
	if (link->deadline)
		event_free(link->deadline);
	close(link->fd);
	close_fd(link->out_fd);
	budget_give(varlink->budget, link->peer.uid);
	free(link->in);
	free(link->out);
	free(link);
}

/* Replies */

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
	n = sendmsg(link->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM ? 0 : -1;
	link->out_fd = close_fd(link->out_fd);
	link_sent(link, (size_t)n);
	return n;
}

void link_sent(struct link *link, size_t n)
{
	link->sent_usec = clock_usec(CLOCK_MONOTONIC);
	link->varlink->stats.sent_bytes += n;
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

/* Return: whether nothing waits any more. */
static bool flush(struct link *link)
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

/* Calls */

/* Return: whether there was a whole one. */
static bool take_call(struct link *link)
{
	char *end = link->in_size ? memchr(link->in, '\0', link->in_size) : NULL;
	struct varlink_call call;
	int r;

	if (!end)
		return false;
	r = varlink_call_parse(&call, link->in, (size_t)(end - link->in));
	link->in_size -= (size_t)(end + 1 - link->in);
	memmove(link->in, end + 1, link->in_size);
	if (r != 0) {
		msg_debug("uid %u, pid %d: a call that is none", link->peer.uid, link->peer.pid);
		link->broken = true;
		return false;
	}
	link->oneway = call.oneway;
	/* The next one, if some of it has come, has its own time. */
	event_del(link->deadline);
	varlink_dispatch(link, &call);
	varlink_call_done(&call);
	return true;
}

/* Without a call in work: what has come of the next one has to become a whole one in time. */
static void watch_input(struct link *link)
{
	uint64_t usec = link->varlink->options.request_usec;
	struct timeval limit = { (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };

	if (link->in_size > link->varlink->options.request_max || link->ended) {
		link->broken = true;
		return;
	}
	if (link->in_size == 0)
		event_del(link->deadline);
	else if (!event_pending(link->deadline, EV_TIMEOUT, NULL))
		event_add(link->deadline, &limit);
}

/* Calls that wait for the one in work do not grow without end. */
static void watch_socket(struct link *link)
{
	if (link->ended || link->in_size > link->varlink->options.request_max)
		event_del(link->readable);
	else
		event_add(link->readable, NULL);
}

/* Return: whether there is more to do at once. */
static bool step(struct link *link, unsigned int *calls)
{
	if (!flush(link)) {
		if (link->state != LINK_IDLE)
			cursor_block(&link->cursor);
		event_add(link->writable, NULL);
		return false;
	}
	if (link->state != LINK_IDLE) {
		outbox_due(&link->outbox);
		return false;
	}
	if ((*calls)++ == CALL_SLICE) {
		event_add(link->writable, NULL);
		return false;
	}
	if (take_call(link))
		return true;
	if (!link->broken)
		watch_input(link);
	return false;
}

void link_run(struct link *link)
{
	unsigned int calls = 0;

	/* One that waits for its socket will look by itself. */
	while (!link->broken && !event_pending(link->writable, EV_WRITE, NULL) && step(link, &calls))
		;
	if (link->broken)
		link_free(link);
	else
		watch_socket(link);
}

/* Events of the loop */

/* Return: whether there is room for more input. */
static bool make_room(struct link *link)
{
	size_t max = link->varlink->options.request_max + 1; /* with its NUL */
	size_t wanted = link->in_room ? 2 * link->in_room : READ_SIZE;
	char *grown;

	if (link->in_size < link->in_room)
		return true;
	if (wanted > max)
		wanted = max;
	if (wanted <= link->in_size)
		return false;
	grown = realloc(link->in, wanted);
	if (!grown)
		return false;
	link->in = grown;
	link->in_room = wanted;
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct link *link = userdata;
	ssize_t n;

	(void)what;
	if (!make_room(link)) {
		link_free(link);
		return;
	}
	n = recv(fd, link->in + link->in_size, link->in_room - link->in_size, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && face_peer_is_gone(fd))) {
		link_free(link);
		return;
	}
	link->ended = n == 0;
	link->in_size += (size_t)n;
	link_run(link);
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	link_run(userdata);
}

static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	link_free(userdata);
}

void link_tick(struct link *link, uint64_t now_usec)
{
	if (link->state != LINK_EVENTS || link->out || event_pending(link->writable, EV_WRITE, NULL) ||
	    now_usec - link->sent_usec < link->varlink->options.heartbeat_usec)
		return;
	if (link_heartbeat(link) < 0)
		link_free(link);
	else
		link_run(link);
}

void link_new(struct varlink *varlink, int fd, const struct peer *peer)
{
	struct link *link = calloc(1, sizeof(*link));
	int size = FACE_SEND_BUFFER;

	if (!link) {
		budget_give(varlink->budget, peer->uid);
		close(fd);
		return;
	}
	link->varlink = varlink;
	link->fd = fd;
	link->outbox = (struct outbox){ .outboxes = varlink->outboxes, .fd = fd };
	link->out_fd = -1;
	link->peer = *peer;
	LIST_INSERT_HEAD(&varlink->links, link, link);
	varlink->stats.connections++;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	(void)fsetxattr(fd, "user.varlink", "server", strlen("server"), 0);
	link->readable = event_new(varlink->base, fd, EV_READ | EV_PERSIST, on_readable, link);
	link->writable = event_new(varlink->base, fd, EV_WRITE, on_writable, link);
	link->deadline = event_new(varlink->base, -1, 0, on_deadline, link);
	if (!link->readable || !link->writable || !link->deadline) {
		link_free(link);
		return;
	}
	event_add(link->readable, NULL);
}
