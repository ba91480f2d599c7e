/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection that speaks Varlink: calls go there, replies come back, each a JSON object with a NUL behind, and with them
 * descriptors. Never waits. Trusts nothing of the other side.
 */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct wire;

/* The longest message that is believed, and so what a connection holds at most: of the many of one call, and of the only one,
 * which may be a list of all processes. */
#define WIRE_MESSAGE_MAX (16 * 1024 * 1024)
#define WIRE_ANSWER_MAX	 (64 * 1024 * 1024)

enum {
	_WIRE_E_SUCCESS,
	WIRE_E_MORE, /* no whole message yet: poll */
	WIRE_E_END,  /* the other side is gone */
};

/*
 * wire_new() - connect to a socket
 * Return: 0; -EAGAIN where the queue of those who connect is full, what else connect(2) says, -ENOMEM.
 */
int wire_new(struct wire **ret, const char *path);

/* wire_free() - NULL is fine. Return: NULL. */
struct wire *wire_free(struct wire *wire);

int wire_fd(const struct wire *wire);

/* wire_events() - what to poll for: POLLIN, and POLLOUT while a call is not all sent. */
short wire_events(const struct wire *wire);

/*
 * wire_call() - put a call, and send what can be sent of it
 * @parameters: lent
 * Descriptors that came with earlier replies are closed. Return: 0; -ENOMEM, and nothing was done. wire_read() reports that the
 * other side is gone.
 */
int wire_call(struct wire *wire, const char *method, json_t *parameters, bool more);

/*
 * wire_read() - the next reply; sends what is left of a call, too
 * @ret: an object, the caller's
 * Return: 0, WIRE_E_MORE, WIRE_E_END; -EBADMSG where it is no JSON object, -EMSGSIZE where it is too
 * long; after -ENOMEM the same reply can be read again.
 */
int wire_read(struct wire *wire, json_t **ret);

/* wire_take_fd() - a descriptor that came with the last reply. Return: it, the caller's; -EBADMSG where there is none. */
int wire_take_fd(struct wire *wire, size_t index);
