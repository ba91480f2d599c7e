/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages of the notification protocol.
 */

#include <systemd/sd-bus.h>

#include "notice.h"

#define NOTIFICATIONS	   "org.freedesktop.Notifications"
#define NOTIFICATIONS_PATH "/org/freedesktop/Notifications"

/* What a server can show */
struct capabilities {
	bool body, markup;
};

/* capabilities_read() - from the answer to GetCapabilities. Return: 0 or a negative errno. */
int capabilities_read(struct capabilities *capabilities, sd_bus_message *reply);

#define MARKUP_FACTOR 6

/*
 * markup_escape() - valid UTF-8 as the text of markup: & < > " ' are written as entities
 * @buf: room for MARKUP_FACTOR * strlen(@text) + 1 bytes
 */
char *markup_escape(char *buf, const char *text);

/*
 * call_new() - a call of Notify, for a server of this unique name
 * @ret: to be unreferenced
 * @replaces: the id of the notification that it replaces, or 0
 * Return: 0 or a negative errno.
 */
int call_new(sd_bus_message **ret, sd_bus *bus, const char *server, const struct capabilities *capabilities,
	     const struct notice *notice, uint32_t replaces);
