/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Closes sockets of peers off the loop.
 *
 * A peer can send descriptors along with its bytes (SCM_RIGHTS). If the broker does not receive them, the kernel closes them in
 * the thread that reads the bytes or closes the socket. If one of them is the last descriptor of a TCP socket that lingers,
 * that thread waits, as long as the peer likes. Since Linux 6.16 a socket can refuse them (SO_PASSRIGHTS). Other sockets are
 * read only as far as they hold none, and are closed here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* rights_refuse() - let no peer send descriptors to a socket, or to those that it accepts. Return: whether the kernel does. */
bool rights_refuse(int fd);
/* rights_are_refused() - was rights_refuse() in effect since the socket has had a peer? */
bool rights_are_refused(int fd);

/*
 * rights_receive() - recv(2) without waiting, from a socket that may hold descriptors
 * Return: as recv(2); -1, with errno EPROTO, if the peer sent a descriptor with the next bytes.
 */
ssize_t rights_receive(int fd, void *data, size_t room);

struct closer;

/* closer_new() - starts a thread. Return: 0 or a negative errno. */
int closer_new(struct closer **ret);
/* closer_free() - after all sockets were closed. NULL is fine. Return: NULL. */
struct closer *closer_free(struct closer *closer);

/* closer_close() - takes a socket */
void closer_close(struct closer *closer, int fd);
