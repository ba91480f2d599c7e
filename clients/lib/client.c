// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "call.h"
#include "client.h"
#include "delivery.h"
#include "session.h"

/* A bound on one call of forkbus_process(), whatever the other side does. */
#define STEPS_MAX 64

int forkbus_new(struct forkbus **ret, const char *runtime_dir, uint64_t flags)
{
	struct forkbus *client;
	int r;

	if (flags & ~(FORKBUS_RING | FORKBUS_PATIENT))
		return -EINVAL;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->flags = flags;
	client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = client->epoll_fd < 0 ? -errno : 0;
	if (r == 0 &&
	    asprintf(&client->path, "%s/org.forkbus1", runtime_dir ? runtime_dir : RUNTIME_DIR) < 0) {
		client->path = NULL;
		r = -ENOMEM;
	}
	if (r == 0 && strlen(client->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		r = -ENAMETOOLONG;
	if (r < 0) {
		forkbus_free(client);
		return r;
	}
	*ret = client;
	return 0;
}

struct forkbus *forkbus_free(struct forkbus *client)
{
	if (client) {
		/* First, so that nothing is taken out of it: see session.c. */
		if (client->epoll_fd >= 0)
			close(client->epoll_fd);
		client->epoll_fd = -1;
		session_disconnect(client);
		filter_set_done(&client->set);
		event_copy_done(&client->event);
		filter_free(client->ring_filter);
		free(client->path);
		free(client);
	}
	return NULL;
}

const char *forkbus_get_error(const struct forkbus *client)
{
	return client->reason.known ? client->reason.text : NULL;
}

/* The broker would refuse the same, later. */
static int check_filter(struct forkbus *client)
{
	json_t *object = filter_set_json(&client->set);
	struct filter *filter = NULL;
	struct filter_error error;
	int r = object ? filter_parse(&filter, object, &error) : -ENOMEM;

	json_decref(object);
	filter_free(filter);
	return r > 0 ? reason_set_filter(&client->reason, &error) : r;
}

int forkbus_start(struct forkbus *client)
{
	int r;

	reason_clear(&client->reason);
	if (client_is_started(client))
		return -EALREADY;
	r = check_filter(client);
	if (r < 0)
		return r;
	r = session_connect(client);
	if (r == -EAGAIN || (client->flags & FORKBUS_PATIENT && r < 0 && r != -ENOMEM))
		session_wait_again(client);
	else if (r < 0)
		return r;
	/* The first call is to be sent. */
	client->busy = true;
	return 0;
}

static int fail(struct forkbus *client, int error)
{
	if (error == -ENOMEM) {
		client->busy = true;
		return error;
	}
	if (error == -EBADMSG && !client->reason.known)
		reason_set(&client->reason, error, "not a forkbus broker: its answer is malformed");
	session_disconnect(client);
	client->state = CLIENT_FAILED;
	client->failure = error;
	client->busy = false;
	return error;
}

/* One step. Return: what it brought, FORKBUS_NOTHING after a step without, a negative errno; @idle: none is left. */
static int step(struct forkbus *client, bool *idle)
{
	enum forkbus_item item;
	int r = delivery_next(client, &item);

	if (r == DELIVERY_E_SUBSCRIBE)
		session_subscribe(client);
	if (r < 0 || item != FORKBUS_NOTHING)
		return r < 0 ? r : (int)item;
	r = call_advance(client);
	*idle = r == CALL_E_IDLE;
	return r < 0 ? r : FORKBUS_NOTHING;
}

int forkbus_process(struct forkbus *client, const struct forkbus_event **ret)
{
	bool idle = false;
	int r = FORKBUS_NOTHING;

	*ret = NULL;
	if (client->state == CLIENT_NEW)
		return -ENOTCONN;
	for (unsigned int i = 0; i < STEPS_MAX && r == FORKBUS_NOTHING && !idle; i++)
		r = client->state == CLIENT_FAILED ? client->failure : step(client, &idle);
	if (client->state == CLIENT_FAILED)
		return r;
	if (r < 0)
		return fail(client, r);
	if (r == FORKBUS_EVENT)
		*ret = &client->event;
	client->busy = !idle || client->ring_more;
	return r;
}

int forkbus_wait(struct forkbus *client, uint64_t timeout_usec)
{
	struct pollfd fd = { .fd = client->epoll_fd, .events = POLLIN };
	uint64_t now = clock_usec(CLOCK_MONOTONIC), until, left;
	struct timespec timeout;
	int r;

	if (client->state == CLIENT_NEW)
		return -ENOTCONN;
	if (client->state == CLIENT_FAILED)
		return client->failure;
	forkbus_get_timeout(client, &until);
	if (until <= now)
		return 1;
	left = until == FORKBUS_FOREVER ? FORKBUS_FOREVER : until - now;
	if (timeout_usec < left)
		left = timeout_usec;
	timeout = (struct timespec){ (time_t)(left / 1000000), (long)(left % 1000000 * 1000) };
	r = ppoll(&fd, 1, left == FORKBUS_FOREVER ? NULL : &timeout, NULL);
	if (r < 0)
		return -errno;
	return r > 0 || left < timeout_usec;
}

int forkbus_get_fd(const struct forkbus *client)
{
	return client->epoll_fd;
}

int forkbus_get_events(const struct forkbus *client)
{
	(void)client;
	return POLLIN;
}

int forkbus_get_timeout(const struct forkbus *client, uint64_t *usec)
{
	if (client->busy)
		*usec = 0;
	else
		*usec = client->state == CLIENT_WAITING ? client->retry_usec : FORKBUS_FOREVER;
	return 0;
}

const char *forkbus_get_cursor(const struct forkbus *client)
{
	return client->is_ready ? client->cursor : NULL;
}

bool forkbus_uses_ring(const struct forkbus *client)
{
	return client->state == CLIENT_RING;
}
