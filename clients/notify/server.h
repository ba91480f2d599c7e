/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The notification server: org.freedesktop.Notifications on the session bus. It may start late, end, and be replaced. This
 * sends it the notifications of the queue. Nothing here blocks.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "queue.h"

struct server;

/*
 * server_new() - @ret: to be freed by server_free(), before @bus and @queue are
 * Return: 0 or a negative errno.
 */
int server_new(struct server **ret, sd_event *event, sd_bus *bus, struct queue *queue);

/* NULL is fine. Return: NULL. */
struct server *server_free(struct server *server);

/* server_update() - call when the queue has changed */
void server_update(struct server *server);

#define MARKUP_FACTOR 6

/*
 * markup_escape() - escape valid UTF-8 for markup: & < > " ' become entities
 * @buf: room for MARKUP_FACTOR * strlen(@text) + 1 bytes
 */
char *markup_escape(char *buf, const char *text);
