/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Varlink messages: JSON objects, each ended by a NUL. Nothing here knows of sockets or methods.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct varlink_call {
	json_t *message;    /* owned */
	const char *method; /* a string without NULs */
	json_t *parameters; /* an object, empty if there were none; null members are removed */
	bool oneway, more, upgrade;
};

enum {
	_VARLINK_E_SUCCESS,
	VARLINK_E_MALFORMED, /* there is no answer to this: close the connection */
};

/*
 * varlink_call_parse() - read a call
 * @data, @len: without the NUL
 * Return: 0, VARLINK_E_MALFORMED, or -ENOMEM. On success varlink_call_done() frees it.
 */
int varlink_call_parse(struct varlink_call *call, const char *data, size_t len);
void varlink_call_done(struct varlink_call *call);

/*
 * varlink_reply() - make a message with the parameters of a reply, or of @error if it is not NULL
 * @parameters: taken; NULL where there are none
 * @size: its size, including the final NUL
 * Return: a string to free(), or NULL without memory.
 */
char *varlink_reply(const char *error, json_t *parameters, size_t *size);
