/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What came, one by one: of a reply that is in the handle, then of the ring.
 */

#include "client.h"

enum {
	_DELIVERY_E_SUCCESS,
	DELIVERY_E_SUBSCRIBE, /* the ring cannot be used: session_subscribe() */
};

/*
 * delivery_next() - the next item that is here
 * @item: set in any case; FORKBUS_NOTHING where there is none. An event is in the handle.
 * Return: 0, DELIVERY_E_SUBSCRIBE, or a negative errno: all but -ENOMEM are the end.
 */
int delivery_next(struct forkbus *client, enum forkbus_item *item);
