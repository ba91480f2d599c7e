/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The connection of a handle, and the calls before the first event: which process a bare pid means, then the ring or the
 * subscription. Events are handled elsewhere.
 */

#include "client.h"

/* session_connect() - begin a connection. Return: 0, or as wire_new(). */
int session_connect(struct forkbus *client);

/* session_disconnect() - release everything that belongs to a connection */
void session_disconnect(struct forkbus *client);

/* session_wait_again() - the connection is lost: connect again after a while */
void session_wait_again(struct forkbus *client);

/* session_retry() - that time is over: connect. Return: 0 or -ENOMEM. */
int session_retry(struct forkbus *client);

/* session_watch() - set the events that the epoll instance waits for on the connection. Return: 0 or a negative errno. */
int session_watch(struct forkbus *client);

/* session_subscribe() - get events by the socket, and not by the ring, as long as this connection lasts */
void session_subscribe(struct forkbus *client);

/* session_forgo_ring() - reconnect, and get events only by the socket from now on */
void session_forgo_ring(struct forkbus *client);

/* session_send() - send the pending call. Return: 0 or a negative errno. */
int session_send(struct forkbus *client);

/*
 * session_replied() - handle an error, or the reply to a call that precedes events
 * Return: 0, or a negative errno; all except -ENOMEM are final.
 */
int session_replied(struct forkbus *client);
