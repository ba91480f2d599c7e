// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/varlink/varlink.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "serve/varlink/internal.h"

/* Linux 6.16; not in Debian 12's headers. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

DEFINE_CLEANUP(struct varlink, varlink_free)

static void on_accept(void *userdata, int fd, const struct peer *peer)
{
	link_new(userdata, fd, peer);
}

/* The answer to whatever will be called, if the socket takes it at once. */
static void on_refuse(void *userdata, int fd, int reason)
{
	size_t size = 0;
	_cleanup_free_ char *message = varlink_reply(
		"org.forkbus1.TooManySubscriptions",
		json_pack("{s:s}", "limit", reason == BUDGET_E_USER ? "user" : "broker"), &size);

	(void)userdata;
	if (message)
		(void)!send(fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_tick(void *userdata, uint64_t now_usec)
{
	struct varlink *varlink = userdata;
	struct link *link, *next;

	for (link = LIST_FIRST(&varlink->links); link; link = next) {
		next = LIST_NEXT(link, link);
		link_tick(link, now_usec);
	}
}

static const struct listener_ops listener_ops = {
	.accept = on_accept,
	.refuse = on_refuse,
	.tick = on_tick,
};

/* For those who look for Varlink services; kernels before 7.0 refuse it. */
static void mark_socket(int fd, const char *path)
{
	(void)fsetxattr(fd, "user.varlink", "listen", strlen("listen"), 0);
	if (path)
		(void)setxattr(path, "user.varlink", "entrypoint", strlen("entrypoint"), 0);
}

static int listen_on(struct varlink *varlink, const char *path, int fd)
{
	_cleanup_close_ int own = -1;
	int off = 0, r;

	if (path) {
		own = fd = listener_open(path);
		if (fd < 0)
			return fd;
		varlink->path = strdup(path);
		if (!varlink->path)
			return -ENOMEM;
	}
	mark_socket(fd, path);
	/* Nothing here takes descriptors. */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
	r = listener_new(&varlink->listener, fd, varlink->base, varlink->budget, &varlink->options,
			 &listener_ops, varlink);
	if (r == 0)
		own = -1;
	return r;
}

int varlink_new(struct varlink **ret, const char *path, int fd, struct hub *hub, struct event_base *base,
		struct budget *budget, const struct face_options *options, char *(*status)(void *userdata),
		void *userdata)
{
	_cleanup_(varlink_free_p) struct varlink *varlink = calloc(1, sizeof(*varlink));
	int r;

	if (!varlink)
		return -ENOMEM;
	varlink->hub = hub;
	varlink->base = base;
	varlink->budget = budget;
	varlink->options = *options;
	varlink->status = status;
	varlink->userdata = userdata;
	LIST_INIT(&varlink->links);
	r = outboxes_new(&varlink->outboxes, base, hub, &varlink->options, &link_outbox_ops);
	if (r < 0)
		return r;
	r = listen_on(varlink, path, fd);
	if (r < 0)
		return r;
	*ret = steal(varlink);
	return 0;
}

struct varlink *varlink_free(struct varlink *varlink)
{
	if (!varlink)
		return NULL;
	/* The last words: why the broker ends. */
	if (varlink->outboxes)
		outboxes_run(varlink->outboxes);
	while (!LIST_EMPTY(&varlink->links))
		link_free(LIST_FIRST(&varlink->links));
	outboxes_free(varlink->outboxes);
	listener_free(varlink->listener);
	if (varlink->path)
		unlink(varlink->path);
	free(varlink->path);
	free(varlink);
	return NULL;
}

void varlink_set(struct varlink *varlink, const struct face_options *options)
{
	varlink->options = *options;
	listener_set(varlink->listener, options);
}

const struct face_stats *varlink_stats(const struct varlink *varlink)
{
	return &varlink->stats;
}
