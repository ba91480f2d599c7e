/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The connection of a handle, and what is asked next on it. Nothing here looks at what comes.
 */

#include "client.h"

/* session_connect() - begin a connection. Return: 0, or as wire_new(). */
int session_connect(struct forkbus *client);

/* session_disconnect() - let go what belongs to a connection */
void session_disconnect(struct forkbus *client);

/* session_wait_again() - no connection any more: another one after a while */
void session_wait_again(struct forkbus *client);

/* session_watch() - have the epoll instance wait for what the connection waits for. Return: 0 or a negative errno. */
int session_watch(struct forkbus *client);

/* session_call() - this is asked next */
void session_call(struct forkbus *client, enum client_call call);

/* session_begin() - ask for what is needed before events can come, or for them */
void session_begin(struct forkbus *client);

/* session_subscribe() - have events by the socket, and not by the ring, as long as this connection lasts */
void session_subscribe(struct forkbus *client);

/* session_open_ring() - map a ring. @fd: taken. Return: 0; negative: it cannot be. */
int session_open_ring(struct forkbus *client, int fd);
