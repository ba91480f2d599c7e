// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "core/priority.h"
#include "core/slice.h"
#include "serve/closer.h"

#define BACKLOG	      1024
#define ACCEPT_NSEC   (2 * SLICE_NSEC)
#define PAUSE_USEC    (1 * USEC_PER_MSEC) /* until it accepts again, even if more important work never ends */
#define DENIED_MAX    32		  /* so many peers wait for a second look */
#define TICKS_A_BEAT  4			  /* how often an interval of heartbeats is checked for silence */
#define TICK_MIN_USEC (50 * USEC_PER_MSEC)

/* A peer without a place. */
struct denied {
	int fd;
	struct peer peer;
	struct budget_account *account;
};

struct server {
	struct face face;
	const struct server_ops *ops;
	struct connections connections;
	int fd;	       /* listens */
	int directory; /* of its own socket; -1: another program opened the socket and owns it */
	char *name;    /* there */
	struct event *acceptable;
	struct event *pause; /* the time until it accepts again at the latest */
	struct event *idle;  /* everything else had a turn */
	struct event *tick;
	struct event *again; /* the second look */
	struct denied denied[DENIED_MAX];
	unsigned int n_denied;
};

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void drop_denied(struct server *server, const struct denied *denied)
{
	budget_account_put(denied->account);
	connections_close(&server->connections, denied->fd);
}

static void server_done(struct server *server)
{
	while (server->n_denied > 0)
		drop_denied(server, &server->denied[--server->n_denied]);
	connections_done(&server->connections);
	free_event(server->acceptable);
	free_event(server->pause);
	free_event(server->idle);
	free_event(server->tick);
	free_event(server->again);
	/* Otherwise the kernel closes it when the broker has ended, with what peers sent to connections that nobody accepted. */
	if (server->fd >= 0 && rights_are_refused(server->fd))
		close(server->fd);
	/* In the directory in which it was made: under the directory's name there may be another broker now. */
	if (server->name)
		unlinkat(server->directory, server->name, 0);
	close_fd(server->directory);
	free(server->name);
	free(server);
}

DEFINE_CLEANUP(struct server, server_done)

/* Accepting */

/* Sent only if the socket takes the message at once. */
static void refuse(const struct server *server, int fd, const struct budget_account *account, int reason)
{
	char detail[BUDGET_TEXT_MAX];
	size_t size = 0;
	_cleanup_free_ char *message = server->ops->refusal(
		reason, budget_refusal(detail, account, BUDGET_CONNECTIONS, reason), &size);

	if (message)
		(void)!send(fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * A peer that has closed its connection and opens another one at once is accepted before the end of the old one is noticed, since
 * accepting comes first. So nobody is refused before the ends that have come until then are handled.
 */
static void look_again(struct server *server, const struct denied *denied)
{
	static const struct timeval now = { 0 };

	server->denied[server->n_denied++] = *denied;
	event_add(server->again, &now);
}

static void admit_or_refuse(struct server *server, const struct denied *denied)
{
	int r = budget_take(denied->account, BUDGET_CONNECTIONS, 1);

	if (r == 0) {
		connection_new(&server->connections, denied->fd, &denied->peer, denied->account);
		return;
	}
	refuse(server, denied->fd, denied->account, r);
	drop_denied(server, denied);
}

static void on_again(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;
	unsigned int n = server->n_denied;

	(void)fd, (void)what;
	server->n_denied = 0;
	for (unsigned int i = 0; i < n; i++)
		admit_or_refuse(server, &server->denied[i]);
}

static void admit(struct server *server, const struct denied *asked)
{
	int r = budget_take(asked->account, BUDGET_CONNECTIONS, 1);

	if (r == 0) {
		connection_new(&server->connections, asked->fd, &asked->peer, asked->account);
	} else if (server->n_denied < DENIED_MAX) {
		look_again(server, asked);
	} else {
		refuse(server, asked->fd, asked->account, r);
		drop_denied(server, asked);
	}
}

static void take(struct server *server, int fd)
{
	const struct face_context *context = &server->connections.context;
	uint64_t began = monotonic_nsec(), ended;
	struct denied asked = { .fd = fd };
	struct budget_account *account = NULL;

	if (peer_from_socket(&asked.peer, fd, context->options.group) == 0)
		account = budget_account_get(context->budget, asked.peer.uid, access_of(&asked.peer).all);
	if (!account) {
		connections_close(&server->connections, fd);
		return;
	}
	asked.account = budget_account_ref(account);
	admit(server, &asked);
	ended = monotonic_nsec();
	budget_spend(account, (ended - began + NSEC_PER_USEC / 2) / NSEC_PER_USEC, ended / NSEC_PER_USEC);
	budget_account_put(account);
}

static void pause_for(struct server *server, uint64_t usec)
{
	struct timeval time = usec_to_timeval(usec);

	event_del(server->acceptable);
	event_add(server->pause, &time);
}

static void on_acceptable(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;
	struct slice slice = slice_begin(ACCEPT_NSEC);

	(void)what;
	while (!slice_is_over(&slice, SLICE_DEAR)) {
		int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (peer >= 0) {
			take(server, peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* The connection stays in the backlog: retrying at once would only waste processor time. */
			msg_warning("cannot accept a connection: %m; retrying in a second");
			pause_for(server, USEC_PER_SEC);
			return;
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
	pause_for(server, PAUSE_USEC);
	event_active(server->idle, EV_TIMEOUT, 0);
}

static void on_pause_over(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;

	(void)fd, (void)what;
	event_del(server->pause);
	event_del(server->idle);
	event_add(server->acceptable, NULL);
}

/* Heartbeats */

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	struct server *server = userdata;

	(void)fd, (void)what;
	if (connections_tick(&server->connections, clock_usec(CLOCK_MONOTONIC)))
		event_active(server->tick, EV_TIMEOUT, 0);
}

static void set_tick(struct server *server)
{
	uint64_t usec = server->connections.context.options.heartbeat_usec / TICKS_A_BEAT;
	struct timeval every = usec_to_timeval(usec < TICK_MIN_USEC ? TICK_MIN_USEC : usec);

	event_add(server->tick, &every);
}

/* Listening */

/*
 * Every user may connect; what a user sees is decided by core/access.h. The socket has its mode from the beginning: chmod(2)
 * after bind(2) would follow a link. An existing socket is replaced: the broker that holds the lock is the only one in its
 * directory. Return: the socket, or a negative errno.
 */
static int open_socket(int directory, const char *name, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t before;
	int r;

	memcpy(address.sun_path, path, strlen(path));
	if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	before = umask(0111);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(before);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r < 0 ? r : steal_fd(&fd);
}

static int open_own(struct server *server, const char *name, const char *path)
{
	const char *directory = server->connections.context.directory;
	int fd;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	server->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (server->directory < 0)
		return -errno;
	fd = open_socket(server->directory, name, path);
	if (fd < 0)
		return fd;
	server->name = strdup(name);
	if (server->name)
		return fd;
	close(fd);
	return -ENOMEM;
}

/* @path: of @name; NULL if @fd listens already; it is taken on success. */
static int listen_on(struct server *server, const char *name, const char *path, int fd)
{
	struct event_base *base = server->connections.context.base;
	_cleanup_close_ int opened = -1;

	if (path) {
		opened = fd = open_own(server, name, path);
		if (fd < 0)
			return fd;
	}
	/* No request has descriptors. */
	(void)rights_refuse(fd);
	if (server->ops->listening)
		server->ops->listening(fd, path);
	server->acceptable = event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, server);
	server->pause = event_new(base, -1, 0, on_pause_over, server);
	server->idle = event_new(base, -1, 0, on_pause_over, server);
	server->tick = event_new(base, -1, EV_PERSIST, on_tick, server);
	server->again = event_new(base, -1, 0, on_again, server);
	if (!server->acceptable || !server->pause || !server->idle || !server->tick || !server->again)
		return -ENOMEM;
	/* The users in the backlog are unknown. So it must not become long, whatever those ask for who are connected. */
	event_priority_set(server->acceptable, PRIORITY_DELIVERY);
	event_priority_set(server->pause, PRIORITY_DELIVERY);
	event_priority_set(server->idle, PRIORITY_LATE);
	event_priority_set(server->tick, PRIORITY_REQUEST);
	event_priority_set(server->again, PRIORITY_LATE);
	event_add(server->acceptable, NULL);
	set_tick(server);
	server->fd = fd;
	opened = -1;
	return 0;
}

int server_new(struct face **ret, const struct server_ops *ops, const char *name, int fd,
	       const struct face_context *context)
{
	_cleanup_(server_done_p) struct server *server = calloc(1, sizeof(*server));
	char path[PATH_MAX];
	int r;

	if (!server)
		return -ENOMEM;
	server->face.ops = ops->face;
	server->ops = ops;
	server->fd = server->directory = -1;
	r = connections_init(&server->connections, ops->connection, context);
	if (r < 0)
		return r;
	r = snprintf(path, sizeof(path), "%s/%s", context->directory, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
	if (r == 0)
		r = listen_on(server, name, fd < 0 ? path : NULL, fd);
	if (r < 0) {
		errno = -r;
		msg_err("cannot listen at %s: %m", path);
		return r;
	}
	*ret = &server->face;
	server = NULL;
	return 0;
}

/* The functions that all such faces share. */

struct face *server_free(struct face *face)
{
	server_done((struct server *)face);
	return NULL;
}

void server_set_options(struct face *face, const struct face_options *options)
{
	struct server *server = (struct server *)face;

	server->connections.context.options = *options;
	set_tick(server);
}

const struct face_stats *server_stats(const struct face *face)
{
	return &((const struct server *)face)->connections.stats;
}
