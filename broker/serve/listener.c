// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"

#define BACKLOG	      1024
#define ACCEPT_SLICE  64 /* connections taken in one turn of the loop */
#define TICKS_A_BEAT  4	 /* how often silence is looked for in one interval of heartbeats */
#define TICK_MIN_USEC (50 * USEC_PER_MSEC)

struct listener {
	int fd;
	struct budget *budget;
	gid_t group;
	const struct listener_ops *ops;
	void *userdata;
	struct event *acceptable;
	struct event *pause; /* out of descriptors: the time until the next try */
	struct event *tick;
};

DEFINE_CLEANUP(struct listener, listener_free)

static void admit(struct listener *listener, int fd)
{
	struct peer peer;
	int r;

	r = peer_from_socket(&peer, fd, listener->group);
	if (r < 0) {
		close(fd);
		return;
	}
	r = budget_take(listener->budget, peer.uid, BUDGET_CONNECTIONS, 1);
	if (r == 0) {
		listener->ops->accept(listener->userdata, fd, &peer);
		return;
	}
	listener->ops->refuse(listener->userdata, fd, r == BUDGET_E_USER ? r : BUDGET_E_TOTAL);
	close(fd);
}

static void on_acceptable(evutil_socket_t fd, short what, void *userdata)
{
	struct listener *listener = userdata;
	struct timeval second = { .tv_sec = 1 };

	(void)what;
	for (unsigned int n = 0; n < ACCEPT_SLICE; n++) {
		int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (peer >= 0) {
			admit(listener, peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* The connection stays in the backlog: to retry at once would only take processor time. */
			msg_warning("cannot accept a connection: %m; retrying in a second");
			event_del(listener->acceptable);
			event_add(listener->pause, &second);
			return;
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void on_pause_over(evutil_socket_t fd, short what, void *userdata)
{
	struct listener *listener = userdata;

	(void)fd, (void)what;
	event_add(listener->acceptable, NULL);
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	struct listener *listener = userdata;

	(void)fd, (void)what;
	listener->ops->tick(listener->userdata, clock_usec(CLOCK_MONOTONIC));
}

int listener_open(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return steal_fd(&fd);
}

int listener_new(struct listener **ret, int fd, struct event_base *base, struct budget *budget,
		 const struct face_options *options, const struct listener_ops *ops, void *userdata)
{
	_cleanup_(listener_free_p) struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return -ENOMEM;
	listener->fd = -1;
	listener->budget = budget;
	listener->ops = ops;
	listener->userdata = userdata;
	listener->acceptable = event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, listener);
	listener->pause = event_new(base, -1, 0, on_pause_over, listener);
	listener->tick = event_new(base, -1, EV_PERSIST, on_tick, listener);
	if (!listener->acceptable || !listener->pause || !listener->tick)
		return -ENOMEM;
	listener_set(listener, options);
	event_add(listener->acceptable, NULL);
	listener->fd = fd;
	*ret = steal(listener);
	return 0;
}

struct listener *listener_free(struct listener *listener)
{
	if (!listener)
		return NULL;
	if (listener->acceptable)
		event_free(listener->acceptable);
	if (listener->pause)
		event_free(listener->pause);
	if (listener->tick)
		event_free(listener->tick);
	close_fd(listener->fd);
	free(listener);
	return NULL;
}

void listener_set(struct listener *listener, const struct face_options *options)
{
	uint64_t usec = options->heartbeat_usec / TICKS_A_BEAT;
	struct timeval every;

	listener->group = options->group;
	if (usec < TICK_MIN_USEC)
		usec = TICK_MIN_USEC;
	every = usec_to_timeval(usec);
	event_add(listener->tick, &every);
}
