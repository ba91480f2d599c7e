// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bus.h"

/* One call of forkbus_process() ends, whatever the other side does. */
#define STEPS_MAX 64

uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int bus_explain(struct forkbus *bus, int error, const char *sentence)
{
	snprintf(bus->text, sizeof(bus->text), "%s", sentence);
	bus->has_text = true;
	return error;
}

int bus_explain_filter(struct forkbus *bus, const struct filter_error *error)
{
	snprintf(bus->text, sizeof(bus->text), "%s%s%s", error->key, *error->key ? ": " : "", error->detail);
	bus->has_text = true;
	return -EINVAL;
}

int forkbus_new(struct forkbus **ret, const char *runtime_dir, uint64_t flags)
{
	struct forkbus *bus;
	int r;

	if (flags & ~(FORKBUS_RING | FORKBUS_PATIENT))
		return -EINVAL;
	bus = calloc(1, sizeof(*bus));
	if (!bus)
		return -ENOMEM;
	bus->flags = flags;
	bus->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = bus->epoll_fd < 0 ? -errno : 0;
	if (r == 0 && asprintf(&bus->path, "%s/org.forkbus1", runtime_dir ? runtime_dir : RUNTIME_DIR) < 0) {
		bus->path = NULL;
		r = -ENOMEM;
	}
	if (r == 0 && strlen(bus->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		r = -ENAMETOOLONG;
	if (r < 0) {
		forkbus_free(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

struct forkbus *forkbus_free(struct forkbus *bus)
{
	if (bus) {
		bus_disconnect(bus);
		if (bus->epoll_fd >= 0)
			close(bus->epoll_fd);
		settings_done(&bus->settings);
		held_done(&bus->event);
		filter_free(bus->ring_filter);
		free(bus->path);
		free(bus);
	}
	return NULL;
}

const char *forkbus_get_error(const struct forkbus *bus)
{
	return bus->has_text ? bus->text : NULL;
}

/* The broker would say the same, later. */
static int check_filter(struct forkbus *bus)
{
	json_t *object = settings_filter(&bus->settings);
	struct filter *filter = NULL;
	struct filter_error error;
	int r = object ? filter_parse(&filter, object, &error) : -ENOMEM;

	json_decref(object);
	filter_free(filter);
	return r > 0 ? bus_explain_filter(bus, &error) : r;
}

int forkbus_start(struct forkbus *bus)
{
	int r;

	bus->has_text = false;
	if (bus_is_started(bus))
		return -EALREADY;
	r = check_filter(bus);
	if (r < 0)
		return r;
	r = bus_connect(bus);
	if (r == -EAGAIN || (bus->flags & FORKBUS_PATIENT && r < 0 && r != -ENOMEM))
		bus_wait_again(bus);
	else if (r < 0)
		return r;
	/* The first call is to be sent. */
	bus->busy = true;
	return 0;
}

static int fail(struct forkbus *bus, int error)
{
	if (error == -ENOMEM) {
		bus->busy = true;
		return error;
	}
	if (error == -EBADMSG && !bus->has_text)
		bus_explain(bus, error, "what answers does not speak like a forkbus broker");
	bus_disconnect(bus);
	bus->state = BUS_FAILED;
	bus->failure = error;
	bus->busy = false;
	return error;
}

int forkbus_process(struct forkbus *bus, const struct forkbus_event **ret)
{
	int r;

	*ret = NULL;
	if (bus->state == BUS_NEW)
		return -ENOTCONN;
	for (unsigned int i = 0; i < STEPS_MAX; i++) {
		if (bus->state == BUS_FAILED)
			return bus->failure;
		r = bus_hand_out(bus);
		if (r == FORKBUS_EVENT)
			*ret = &bus->event;
		if (r != FORKBUS_NOTHING) {
			bus->busy = true;
			return r < 0 ? fail(bus, r) : r;
		}
		r = bus_advance(bus);
		if (r < 0)
			return fail(bus, r);
		if (r == BUS_E_IDLE) {
			bus->busy = bus->ring_more;
			return FORKBUS_NOTHING;
		}
	}
	bus->busy = true;
	return FORKBUS_NOTHING;
}

int forkbus_wait(struct forkbus *bus, uint64_t timeout_usec)
{
	struct pollfd fd = { .fd = bus->epoll_fd, .events = POLLIN };
	uint64_t now = now_usec(), until, left;
	struct timespec timeout;
	int r;

	if (bus->state == BUS_NEW)
		return -ENOTCONN;
	if (bus->state == BUS_FAILED)
		return bus->failure;
	forkbus_get_timeout(bus, &until);
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

int forkbus_get_fd(const struct forkbus *bus)
{
	return bus->epoll_fd;
}

int forkbus_get_events(const struct forkbus *bus)
{
	(void)bus;
	return POLLIN;
}

int forkbus_get_timeout(const struct forkbus *bus, uint64_t *usec)
{
	if (bus->busy)
		*usec = 0;
	else
		*usec = bus->state == BUS_WAITING ? bus->retry_usec : FORKBUS_FOREVER;
	return 0;
}

const char *forkbus_get_cursor(const struct forkbus *bus)
{
	return bus->told_ready ? bus->cursor : NULL;
}

bool forkbus_uses_ring(const struct forkbus *bus)
{
	return bus->state == BUS_RING;
}
