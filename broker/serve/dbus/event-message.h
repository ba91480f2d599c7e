/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events in D-Bus messages: as dictionaries, and as the signals of subscriptions.
 */

#include <systemd/sd-bus.h>

#include "event.h"

/* dbus_append_event() - append an event's fields except those in @without, as an a{sv}. Return: 0 or a negative errno. */
int dbus_append_event(sd_bus_message *message, const struct fb_event *event, field_set without);
/* dbus_event_size() - the most bytes that dbus_append_event() appends */
size_t dbus_event_size(const struct fb_event *event, field_set without);
/* dbus_append_text() - append any bytes as a string: invalid characters become U+FFFD */
int dbus_append_text(sd_bus_message *message, struct event_text text);
/* dbus_send_event() - send the signal of an event to one receiver. Return: 0 or a negative errno. */
int dbus_send_event(sd_bus *connection, const char *receiver, const char *path, const struct fb_event *event);
