/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Conversions between D-Bus dictionaries and JSON objects, from which requests are parsed; and the refusal of a request.
 */

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "filter.h"

/*
 * dbus_read_request() - convert an a{sv} to the JSON object that other faces receive
 * @max: maximum size, counted as JSON
 * Return: 0; FILTER_E_INVALID, with @error filled; or a negative errno.
 */
int dbus_read_request(sd_bus_message *message, size_t max, json_t **ret, struct filter_error *error);

/* dbus_append_object() - append a JSON object as an a{sv}. Return: 0 or a negative errno. */
int dbus_append_object(sd_bus_message *message, json_t *object);

/* dbus_refuse() - answer a call with the error in its request. @r: FILTER_E_INVALID or a negative errno */
int dbus_refuse(sd_bus_message *call, int r, const struct filter_error *error);
