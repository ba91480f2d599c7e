/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection that speaks Varlink: calls go there, replies come back, each a JSON object with a NUL behind, and with them
 * descriptors. Never waits. Trusts nothing of the other side.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct wire;

/* The longest message that is believed, and so what a connection holds at most: of the many of one call, and of the only one,
 * which may be a list of all processes. */
#define WIRE_MESSAGE_MAX (16 * 1024 * 1024)
#define WIRE_ANSWER_MAX	 (64 * 1024 * 1024)

/* What the broker said. */
struct reply {
	json_t *message;    /* owned */
	json_t *parameters; /* its; an object. Of a refusal also NULL */
	const char *error;  /* its; NULL: it is no refusal */
	bool continues;
};

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
 * @ret: to be freed by reply_done()
 * Return: 0, WIRE_E_MORE, WIRE_E_END; -EBADMSG where it is no reply, -EMSGSIZE where it is too long; after -ENOMEM the same
 * reply can be read again.
 */
int wire_read(struct wire *wire, struct reply *ret);

/* wire_take_fd() - a descriptor that came with the last reply. Return: it, the caller's; -EBADMSG where there is none. */
int wire_take_fd(struct wire *wire, size_t index);

/* reply_done() - free what it holds, and empty it; an empty one is fine. */
void reply_done(struct reply *reply);

/* reply_cursor() - the cursor of a reply. Return: 0 or -EBADMSG. */
int reply_cursor(const struct reply *reply, uint64_t *epoch, uint64_t *seq);

/*
 * JSON as libforkbus reads it. jansson drops bytes of a string, or digits of a number, where it had no memory to make its
 * buffer for them larger, and reports no error. So what it read is measured against the text.
 */

/*
 * json_read() - read one object
 * @ret: the caller's
 * Return: 0; -EBADMSG where the text is not one JSON object, or has a key twice; -ENOMEM.
 */
int json_read(json_t **ret, const char *text, size_t len);

/* json_is_whole() - are all bytes of a text's strings and integers in the value that was read from it? @text: valid JSON */
bool json_is_whole(json_t *value, const char *text, size_t len);
