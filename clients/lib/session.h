/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The connection of a handle, and what is asked on it until events can come: which process a bare pid means, then the ring,
 * or the subscription. Nothing here looks at events.
 */

#include "client.h"

/* session_connect() - begin a connection. Return: 0, or as wire_new(). */
int session_connect(struct forkbus *client);

/* session_disconnect() - release everything that belongs to a connection */
void session_disconnect(struct forkbus *client);

/* session_wait_again() - no connection any more: another one after a while */
void session_wait_again(struct forkbus *client);

/* session_retry() - the while is over. Return: 0 or -ENOMEM. */
int session_retry(struct forkbus *client);

/* session_watch() - have the epoll instance wait for what the connection waits for. Return: 0 or a negative errno. */
int session_watch(struct forkbus *client);

/* session_subscribe() - have events by the socket, and not by the ring, as long as this connection lasts */
void session_subscribe(struct forkbus *client);

/* session_forgo_ring() - connect anew, and have events by the socket from now on */
void session_forgo_ring(struct forkbus *client);

/* session_send() - send the call that is due. Return: 0 or a negative errno. */
int session_send(struct forkbus *client);

/*
 * session_replied() - deal with a refusal, or the reply to a call that comes before events
 * Return: 0, or a negative errno: all but -ENOMEM are the end.
 */
int session_replied(struct forkbus *client);
