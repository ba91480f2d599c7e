/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Calls to the broker and their replies. What a reply brings is left in the handle, for delivery_next().
 */

#include "client.h"

enum {
	_CALL_E_SUCCESS,
	CALL_E_IDLE, /* nothing to be done for now */
};

/* call_advance() - do one step. Return: 0, CALL_E_IDLE, a negative errno: all but -ENOMEM are the end. */
int call_advance(struct forkbus *client);
