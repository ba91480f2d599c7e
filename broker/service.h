/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service manager: notifications to it by sd_notify(3), and the signals by which it, or a user, ends or reloads the broker.
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

/* service_new() - take signals, in @base. Return: 0 or -ENOMEM. */
int service_new(struct service **ret, struct event_base *base, const struct service_ops *ops, void *userdata);
/* NULL is fine. Return: NULL. */
struct service *service_free(struct service *service);

/* service_ready() - clients can connect */
void service_ready(struct service *service);
/* service_stopping() - they cannot any more */
void service_stopping(void);
