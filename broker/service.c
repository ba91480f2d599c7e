// SPDX-License-Identifier: LGPL-2.1-or-later
#include "service.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "core/priority.h"

/* How often the service manager gets a new status line. */
#define STATUS_SEC 5

#define SOCKETS_MAX 32

struct service {
	const struct service_ops *ops;
	void *userdata;
	struct event *on_term, *on_int, *on_hup, *status, *watchdog;

	/* The sockets that the service manager passed on. */
	unsigned int n_sockets;
	struct {
		int fd; /* -1: it was taken */
		char name[32];
	} sockets[SOCKETS_MAX];
};

DEFINE_CLEANUP(struct service, service_free)

/* Sockets */

static void add_socket(struct service *service, int fd, const char *name)
{
	unsigned int i = service->n_sockets;

	if (i == SOCKETS_MAX || sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
		close(fd);
		return;
	}
	evutil_make_socket_nonblocking(fd);
	service->sockets[i].fd = fd;
	snprintf(service->sockets[i].name, sizeof(service->sockets[i].name), "%s", name);
	service->n_sockets++;
}

static void add_sockets(struct service *service)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < n; i++) {
		/* systemd's name for a socket without a name in its unit. */
		bool unnamed = n == 1 && strcmp(names[i], "unknown") == 0;

		add_socket(service, SD_LISTEN_FDS_START + i, unnamed ? "" : names[i]);
		free(names[i]);
	}
	free(names);
}

static void close_sockets(struct service *service)
{
	for (unsigned int i = 0; i < service->n_sockets; i++)
		close_fd(service->sockets[i].fd);
	service->n_sockets = 0;
}

int service_take_socket(struct service *service, const char *name)
{
	for (unsigned int i = 0; i < service->n_sockets; i++) {
		const char *given = service->sockets[i].name;

		if (service->sockets[i].fd >= 0 && (given[0] == '\0' || strcmp(given, name) == 0))
			return steal_fd(&service->sockets[i].fd);
	}
	return -1;
}

/* Notifications and signals */

static void send_status(const struct service *service)
{
	char text[SERVICE_STATUS_MAX];

	service->ops->status(service->userdata, text);
	(void)sd_notifyf(0, "STATUS=%s", text);
}

static void on_status(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	send_status(userdata);
}

static void on_watchdog(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what, (void)userdata;
	(void)sd_notify(0, "WATCHDOG=1");
}

static void on_end(evutil_socket_t signal, short what, void *userdata)
{
	struct service *service = userdata;

	(void)what;
	msg_info("ending on %s", strsignal((int)signal));
	service->ops->end(service->userdata);
}

static void on_reload(evutil_socket_t signal, short what, void *userdata)
{
	struct service *service = userdata;

	(void)signal, (void)what;
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)clock_usec(CLOCK_MONOTONIC));
	service->ops->reload(service->userdata);
	(void)sd_notify(0, "READY=1");
}

int service_new(struct service **ret, struct event_base *base, const struct service_ops *ops, void *userdata)
{
	_cleanup_(service_free_p) struct service *service = calloc(1, sizeof(*service));
	struct timeval every = { .tv_sec = STATUS_SEC };
	uint64_t watchdog_usec = 0;

	if (!service)
		return -ENOMEM;
	service->ops = ops;
	service->userdata = userdata;
	add_sockets(service);
	(void)signal(SIGPIPE, SIG_IGN);
	service->on_term = evsignal_new(base, SIGTERM, on_end, service);
	service->on_int = evsignal_new(base, SIGINT, on_end, service);
	service->on_hup = evsignal_new(base, SIGHUP, on_reload, service);
	service->status = event_new(base, -1, EV_PERSIST, on_status, service);
	service->watchdog = event_new(base, -1, EV_PERSIST, on_watchdog, service);
	if (!service->on_term || !service->on_int || !service->on_hup || !service->status ||
	    !service->watchdog)
		return -ENOMEM;
	event_priority_set(service->on_term, PRIORITY_SOURCE);
	event_priority_set(service->on_int, PRIORITY_SOURCE);
	event_priority_set(service->on_hup, PRIORITY_SOURCE);
	event_priority_set(service->status, PRIORITY_SOURCE);
	event_priority_set(service->watchdog, PRIORITY_SOURCE);
	event_add(service->on_term, NULL);
	event_add(service->on_int, NULL);
	event_add(service->on_hup, NULL);
	event_add(service->status, &every);
	if (sd_watchdog_enabled(0, &watchdog_usec) > 0) {
		every = usec_to_timeval(watchdog_usec / 2);
		event_add(service->watchdog, &every);
	}
	*ret = steal(service);
	return 0;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

struct service *service_free(struct service *service)
{
	if (!service)
		return NULL;
	free_event(service->on_term);
	free_event(service->on_int);
	free_event(service->on_hup);
	free_event(service->status);
	free_event(service->watchdog);
	close_sockets(service);
	free(service);
	return NULL;
}

void service_ready(struct service *service)
{
	close_sockets(service);
	(void)sd_notify(0, "READY=1");
	send_status(service);
}

void service_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}
