/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service manager: the sockets that it opened and passed on when it started the broker (sd_listen_fds(3)), notifications
 * to it by sd_notify(3), and the signals by which it, or a user, ends or reloads the broker.
 */

#include <event2/event.h>
#include <stddef.h>

struct service;

#define SERVICE_STATUS_MAX 128

struct service_ops {
	/* SIGTERM or SIGINT came. */
	void (*end)(void *userdata);
	/* SIGHUP came: load the configuration again. */
	void (*reload)(void *userdata);
	/* One line for people, shown by "systemctl status". */
	void (*status)(void *userdata, char text[static SERVICE_STATUS_MAX]);
};

/*
 * service_new() - take signals, in @base, and all sockets that were passed on
 * Those that cannot be a face's are closed. Return: 0 or -ENOMEM.
 */
int service_new(struct service **ret, struct event_base *base, const struct service_ops *ops, void *userdata);
/* NULL is fine. Return: NULL. */
struct service *service_free(struct service *service);

/*
 * service_take_socket() - a listening socket of this name; where only one was passed on, it needs no name
 * Return: it, or -1.
 */
int service_take_socket(struct service *service, const char *name);

/* service_ready() - clients can connect; sockets that were not taken are closed */
void service_ready(struct service *service);
/* service_stopping() - they cannot any more */
void service_stopping(void);
