/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Replies of a connection: to the call that is being taken, and in parts of its own.
 */

#include <jansson.h>
#include <sys/uio.h>

#include "serve/varlink/link.h"

/*
 * link_reply(), link_fail(), link_fail_with() - answer the call that is being taken
 * @parameters: taken; NULL: there was no memory for them, and the connection is closed
 */
void link_reply(struct link *link, json_t *parameters);
void link_fail(struct link *link, const char *error);
void link_fail_with(struct link *link, const char *error, json_t *parameters);
/* The same, the parameters being a JSON text already, taken; NULL: no memory. */
void link_reply_text(struct link *link, char *parameters);

/* link_send() - send what is part of an answer, and keep what the socket does not take. Return: 0 or -ENOMEM, -EPIPE. */
int link_send(struct link *link, const struct iovec *parts, size_t n);
/* link_keep() - keep what is left of an answer, of which the socket has taken @sent bytes. Return: 0 or -ENOMEM. */
int link_keep(struct link *link, const struct iovec *parts, size_t n, size_t sent);
/* link_flush() - send what was kept. Return: whether nothing waits any more. */
bool link_flush(struct link *link);
