/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The notification server: org.freedesktop.Notifications on the session bus, which may come late, go, and be
 * replaced. It is sent what the queue has for it. Nothing here blocks.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "queue.h"

struct server;

/*
 * server_new() - @ret: to be freed by server_free(), before @bus is; @queue has to outlive it
 * Return: 0 or a negative errno.
 */
int server_new(struct server **ret, sd_event *event, sd_bus *bus, struct queue *queue);

/* NULL is fine. Return: NULL. */
struct server *server_free(struct server *server);

/* server_update() - call when the queue has something new */
void server_update(struct server *server);

#define MARKUP_FACTOR 6

/*
 * markup_escape() - valid UTF-8 as the text of markup: & < > " ' are written as entities
 * @buf: room for MARKUP_FACTOR * strlen(@text) + 1 bytes
 */
char *markup_escape(char *buf, const char *text);
