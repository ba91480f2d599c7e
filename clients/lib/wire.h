/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A Varlink connection: it sends calls and receives replies, each a JSON object followed by a NUL, and descriptors with
 * them. It never blocks, and does not trust the other side.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct wire;

/* The longest message that is accepted, which also limits the memory of a connection: one of many replies to a call, and a
 * single reply, which may be a list of all processes. */
#define WIRE_MESSAGE_MAX (16 * 1024 * 1024)
#define WIRE_ANSWER_MAX	 (64 * 1024 * 1024)

/* A reply of the broker. */
struct reply {
	json_t *message;    /* owned */
	json_t *parameters; /* owned by @message: an object; may be NULL with an error */
	const char *error;  /* owned by @message; NULL: no error */
	bool continues;
};

enum {
	_WIRE_E_SUCCESS,
	WIRE_E_MORE, /* the message is incomplete: poll */
	WIRE_E_END,  /* the other side closed the connection */
};

/*
 * wire_new() - connect to a socket
 * Return: 0; -EAGAIN if the broker's queue of connections is full; other errors of connect(2); -ENOMEM.
 */
int wire_new(struct wire **ret, const char *path);

/* wire_free() - NULL is fine. Return: NULL. */
struct wire *wire_free(struct wire *wire);

int wire_fd(const struct wire *wire);

/* wire_events() - what to poll for: POLLIN, and POLLOUT while a call is not all sent. */
short wire_events(const struct wire *wire);

/*
 * wire_call() - queue a call, and send as much of it as is possible now
 * @parameters: stay the caller's
 * Descriptors of earlier replies are closed. Return: 0; -ENOMEM: nothing was done. That the other side is gone is reported
 * by wire_read().
 */
int wire_call(struct wire *wire, const char *method, json_t *parameters, bool more);

/*
 * wire_read() - get the next reply; also sends the rest of a call
 * @ret: to be freed by reply_done()
 * Return: 0, WIRE_E_MORE, WIRE_E_END; -EBADMSG if it is not a reply, -EMSGSIZE if it is too long; after -ENOMEM the same
 * reply can be read again.
 */
int wire_read(struct wire *wire, struct reply *ret);

/* wire_take_fd() - take a descriptor that came with the last reply. Return: the descriptor; -EBADMSG if there is none. */
int wire_take_fd(struct wire *wire, size_t index);

/* reply_done() - free a reply, and clear it; a cleared one is fine. */
void reply_done(struct reply *reply);

/* reply_cursor() - the cursor of a reply. Return: 0 or -EBADMSG. */
int reply_cursor(const struct reply *reply, uint64_t *epoch, uint64_t *seq);

/*
 * Parsing of JSON. If jansson has no memory to enlarge its buffer, it drops bytes of a string or digits of a number, and
 * reports no error. So the lengths of the parsed values are compared with the text.
 */

/*
 * json_read() - read one object
 * @ret: owned by the caller
 * Return: 0; -EBADMSG if the text is not one JSON object, or has a duplicate key; -ENOMEM.
 */
int json_read(json_t **ret, const char *text, size_t len);

/* json_is_whole() - does the parsed value have all bytes of the strings and integers of @text? @text: valid JSON */
bool json_is_whole(json_t *value, const char *text, size_t len);
